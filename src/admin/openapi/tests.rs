use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::routes;
use super::*;

fn served() -> Value {
    serde_json::from_str(&DOCUMENT).unwrap()
}

/// Every operation of the document, as (method, path) with its description.
fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone()), operation.clone());
        }
    }
    found
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = served();
    assert_eq!(document["openapi"], "3.1.0");
    let described = operations(&document);
    let places = |route: &Route| (route.verb.name().to_owned(), route.path.to_owned());
    let table: BTreeSet<_> = routes().iter().map(places).collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), table);
    let mut names = BTreeSet::new();
    for route in routes() {
        let operation = &described[&places(&route)];
        assert_eq!(operation["operationId"], route.name);
        assert!(names.insert(route.name), "two operations are called {}", route.name);
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{}", route.name);
        let scope =
            route.scope.map_or(serde_json::json!({}), |scope| serde_json::json!({ "token": [scope.name()] }));
        assert_eq!(operation["security"], serde_json::json!([scope]), "{}", route.name);
        let guarded = ["401", "403", "429"].iter().all(|status| !operation["responses"][status].is_null());
        assert_eq!(guarded, route.scope.is_some(), "{}", route.name);
        let recorded = !operation["responses"]["503"].is_null();
        assert!(recorded || route.deed == Deed::Nothing, "{}", route.name);
        let takes_key =
            operation["parameters"].as_array().into_iter().flatten().any(|p| p["name"] == "Idempotency-Key");
        assert_eq!(takes_key, route.deed == Deed::Writes, "{}", route.name);
    }
}

#[test]
fn every_piece_of_a_path_is_described_and_nothing_else_is() {
    for ((_, path), operation) in operations(&served()) {
        let pieces: BTreeSet<&str> =
            path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<&str> =
            parameters.filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(pieces, described, "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = served();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = DOCUMENT.as_str();
    let mut referred = BTreeSet::new();
    for piece in text.split("\"#/components/schemas/").skip(1) {
        referred.insert(piece.split('"').next().unwrap());
    }
    assert!(referred.len() >= 10, "{referred:?}");
    for name in &referred {
        assert!(schemas.contains_key(*name), "{name}");
    }
    for name in schemas.keys() {
        assert!(referred.contains(name.as_str()), "nothing refers to {name}");
    }
}

#[test]
fn an_event_in_the_document_has_the_fields_that_are_read() {
    let document = served();
    for (schema, fields) in
        [("Event", crate::admin::explain::EVENT), ("Evidence", crate::admin::explain::EVIDENCE)]
    {
        let schema = &document["components"]["schemas"][schema];
        let described: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, fields.iter().map(|(name, _)| *name).collect());
        assert_eq!(schema["additionalProperties"], false);
    }
    let required = &document["components"]["schemas"]["Event"]["required"];
    assert_eq!(required, &serde_json::json!(["recipient", "kind", "occurred_at", "actor", "source"]));
}
