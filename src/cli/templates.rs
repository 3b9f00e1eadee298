//! `optgate templates`: the catalogue that says which category a template has.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Global, TemplatesImportArgs};
use super::client::{Client, segment};
use super::failure::Failure;
use super::import::read_whole;
use super::output::{print, print_json, shown, table};

pub(super) fn import(args: &TemplatesImportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let list = read_whole(&args.file)?;
    let path = format!("/v1/templates/{}", segment(&args.account));
    let answer = Client::new(global)?.write("PUT", &path, ("application/json", &list))?;
    if global.json {
        print_json(&answer)?;
    } else {
        print(&format!("account {}: {} templates\n", args.account, shown(&answer, "templates")))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let (mut accounts, mut next) = (Vec::new(), Some("/v1/templates?limit=1000".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path)?;
        accounts.extend(page.get("accounts").and_then(Value::as_array).cloned().unwrap_or_default());
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    let answer = json!({ "accounts": accounts });
    if global.json { print_json(&answer) } else { print(&listing(&answer)) }?;
    Ok(ExitCode::SUCCESS)
}

fn listing(answer: &Value) -> String {
    let members =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let of_account = |account: &Value| {
        let id = shown(account, "account");
        let row = |t: &Value| ["name", "language", "category", "status"].map(|member| shown(t, member));
        let rows: Vec<_> = members(account, "templates").iter().map(row).collect();
        rows.into_iter()
            .map(|[name, language, category, status]| [id.clone(), name, language, category, status])
            .collect()
    };
    let rows: Vec<[String; 5]> =
        members(answer, "accounts").iter().flat_map(|a| -> Vec<_> { of_account(a) }).collect();
    if rows.is_empty() {
        return "no templates: every template send counts as marketing until `optgate templates import` tells otherwise\n".to_owned();
    }
    table(["ACCOUNT", "NAME", "LANGUAGE", "CATEGORY", "STATUS"], &rows)
}
