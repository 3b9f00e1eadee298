//! The description of the API for machines: OpenAPI 3.1, made from the table of routes and the types that handlers read and write.
//!
//! Path, method and scope come from the table; everything else from the [`Description`] that stands beside each handler.
//! Answers that every operation of a kind has (401, 403, 429 of guarded ones; 409, 422 of writes) are added here.

mod description;
mod shapes;

use std::sync::LazyLock;

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Required};

use super::problem::Fault;
use super::route::{Deed, Route, Verb};

pub(super) use description::Description;
pub(super) use shapes::AnyObject;

/// What the security scheme is called.
const SCHEME: &str = "token";

/// The document, as it is served.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    // Serializing plain data to a string does not fail; were it to, an empty document shows up in every client.
    document(super::routes()).to_json().unwrap_or_default()
});

/// The document of a table of routes.
fn document(routes: Vec<Route>) -> OpenApi {
    let mut paths = Paths::new();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token of [[admin.tokens]], or the one in the file admin.token of the data folder. The scope that an operation needs stands at it; the scope admin opens every operation.",
    ));
    let mut components =
        ComponentsBuilder::new().security_scheme(SCHEME, SecurityScheme::Http(token.build()));
    for route in routes {
        let description = completed(&route);
        let (operation, schemas) = description.finish();
        components = components.schemas_from_iter(schemas);
        paths.add_path_operation(route.path, vec![method(route.verb)], secured(&route, operation).build());
    }
    let info = InfoBuilder::new()
        .title("optgate admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Consent, templates and decisions of a gate. Errors are application/problem+json (RFC 9457) with every problem listed.",
        ));
    OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).build()
}

/// A route's own description and what its kind adds.
fn completed(route: &Route) -> Description {
    let mut description = (route.description)();
    if route.scope.is_some() {
        let guards = [Fault::TokenMissing, Fault::ScopeMissing, Fault::TooManyFailures, Fault::Unreadable];
        description = description.faults(&guards);
    }
    match route.deed {
        Deed::Nothing => description,
        Deed::LooksUp => description.faults(&[Fault::RecordUnavailable]),
        Deed::Writes => description.parameter(idempotency_key()).faults(&[
            Fault::RecordUnavailable,
            Fault::KeyInProgress,
            Fault::KeyReused,
            Fault::Unreadable,
        ]),
    }
}

fn idempotency_key() -> ParameterBuilder {
    let key =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$")).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Makes a repeat answer what the first one answered, for 24 hours on the same node; any visible ASCII, with or without quotes.",
        ))
        .schema(Some(key.build()))
}

fn secured(route: &Route, operation: OperationBuilder) -> OperationBuilder {
    let requirement = match route.scope {
        Some(scope) => SecurityRequirement::new(SCHEME, [scope.name()]),
        // An empty requirement says that nothing is required.
        None => SecurityRequirement::default(),
    };
    operation.operation_id(Some(route.name)).security(requirement)
}

fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Delete => HttpMethod::Delete,
    }
}

#[cfg(test)]
mod tests;
