//! What a request through the gate costs, beside the same request made directly.

fn main() {
    divan::main();
}
