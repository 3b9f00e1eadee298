//! `optgate explain`: one recent decision.

use std::process::ExitCode;

use super::args::{ExplainArgs, Global};
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<ExitCode, Failure> {
    let decision = Client::new(global)?.get(&format!("/v1/decisions/{}", segment(&args.id)))?;
    if global.json {
        print_json(&decision)?;
    } else {
        let members = decision.as_object().into_iter().flat_map(|members| members.keys());
        let rows: Vec<_> = members.map(|name| [name.clone(), shown(&decision, name)]).collect();
        print(&table(["FIELD", "VALUE"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
