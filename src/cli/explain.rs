//! `optgate explain`: one recent decision.

use std::process::ExitCode;

use super::args::{ExplainArgs, Global};
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown};

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<ExitCode, Failure> {
    let decision = Client::new(global)?.get(&format!("/v1/decisions/{}", segment(&args.id)))?;
    if global.json {
        print_json(&decision)?;
    } else {
        let names = decision.as_object().into_iter().flat_map(|members| members.keys());
        print(&names.map(|name| format!("{name:18} {}\n", shown(&decision, name))).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
