//! What one decision costs, from the parsed send to the permit or the denial.

fn main() {
    divan::main();
}
