//! `optgate token new`: a token for the admin API and the digest that lets it in.

use std::fmt::Write;
use std::process::ExitCode;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::args::{Global, TokenNewArgs};
use super::failure::Failure;
use super::output::{print, print_json};
use crate::config::Scope;

/// Reads a scope's name.
pub(super) fn scope(text: &str) -> Result<Scope, String> {
    let known = || Scope::ALL.map(Scope::name).join(", ");
    Scope::ALL
        .into_iter()
        .find(|scope| scope.name() == text)
        .ok_or_else(|| format!("known scopes: {}", known()))
}

pub(super) fn new(args: &TokenNewArgs, global: &Global) -> Result<ExitCode, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Failure::Random)?;
    let token = format!("ogt_{}", URL_SAFE_NO_PAD.encode(random));
    let sha256 = hex::encode(digest::digest(&digest::SHA256, token.as_bytes()));
    let scopes: Vec<&str> = args.scope.iter().map(|scope| scope.name()).collect();
    if global.json {
        let tenants = (!args.tenant.is_empty()).then_some(&args.tenant);
        print_json(
            &json!({ "token": token, "name": args.name, "sha256": sha256, "scopes": scopes, "tenants": tenants }),
        )?;
    } else {
        let mut lines =
            format!("[[admin.tokens]]\nname = {:?}\nsha256 = \"{sha256}\"\nscopes = {scopes:?}", args.name);
        if !args.tenant.is_empty() {
            let _ = write!(lines, "\ntenants = {:?}", args.tenant);
        }
        print(&format!(
            "The token, shown this once:\n\n{token}\n\nThe lines for the configuration:\n\n{lines}\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
