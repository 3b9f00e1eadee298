//! What the document says about one operation, gathered beside its handler.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::admin::problem::{Fault, ProblemBody};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Schemas by name.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// What one operation takes and answers; path, method and scope are the table's.
pub(in crate::admin) struct Description {
    operation: OperationBuilder,
    takes: Option<RequestBodyBuilder>,
    answers: BTreeMap<u16, ResponseBuilder>,
    faults: Vec<Fault>,
    schemas: Schemas,
    /// The names of what may stand in the query.
    query: Vec<String>,
}

impl Description {
    /// A description that begins with what the operation is for, in a few words.
    pub(in crate::admin) fn of(summary: &str) -> Self {
        let operation = OperationBuilder::new().summary(Some(summary));
        let (faults, schemas, query) = (Vec::new(), Vec::new(), Vec::new());
        Self { operation, takes: None, answers: BTreeMap::new(), faults, schemas, query }
    }

    /// More than a few words, in Markdown.
    pub(in crate::admin) fn at_length(mut self, text: &str) -> Self {
        self.operation = self.operation.description(Some(text));
        self
    }

    /// A piece of the path, with an example of it.
    pub(in crate::admin) fn in_path(self, name: &str, (means, example): (&str, &str)) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        self.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(means))
                .example(Some(Value::from(example)))
                .schema(Some(text.build())),
        )
    }

    /// A parameter of the query, which may be left out.
    pub(in crate::admin) fn in_query(mut self, name: &str, means: &str, schema: ObjectBuilder) -> Self {
        self.query.push(name.to_owned());
        self.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(means))
                .schema(Some(schema.build())),
        )
    }

    /// What may stand in the query, by name.
    pub(in crate::admin) fn query_names(&self) -> &[String] {
        &self.query
    }

    /// Any parameter.
    pub(in crate::admin) fn parameter(mut self, parameter: ParameterBuilder) -> Self {
        self.operation = self.operation.parameter(parameter.build());
        self
    }

    /// A JSON body, with an example of it.
    pub(in crate::admin) fn takes<T: ToSchema>(self, example: Value) -> Self {
        self.takes_as::<T>(JSON, Some(example))
    }

    /// A body of any content type.
    pub(in crate::admin) fn takes_as<T: ToSchema>(mut self, media: &str, example: Option<Value>) -> Self {
        let content = ContentBuilder::new().schema(Some(self.refer::<T>())).example(example).build();
        let body = self.takes.take().unwrap_or_default();
        self.takes = Some(body.required(Some(Required::True)).content(media, content));
        self
    }

    /// A JSON answer.
    pub(in crate::admin) fn answers<T: ToSchema>(self, status: u16, means: &str) -> Self {
        self.answers_as::<T>(status, means, JSON)
    }

    /// An answer of any content type.
    pub(in crate::admin) fn answers_as<T: ToSchema>(mut self, status: u16, means: &str, media: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(self.refer::<T>())).build();
        let answer = ResponseBuilder::new().description(means).content(media, content);
        self.answers.insert(status, answer);
        self
    }

    /// What may go wrong; said twice is said once.
    pub(in crate::admin) fn faults(mut self, faults: &[Fault]) -> Self {
        for fault in faults {
            if !self.faults.contains(fault) {
                self.faults.push(*fault);
            }
        }
        self
    }

    /// The operation, and the schemas that it refers to.
    pub(super) fn finish(mut self) -> (OperationBuilder, Schemas) {
        let answers = std::mem::take(&mut self.answers);
        let mut operation = std::mem::take(&mut self.operation)
            .request_body(self.takes.take().map(RequestBodyBuilder::build));
        let mut problems: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for fault in &self.faults {
            problems.entry(fault.status().as_u16()).or_default().push(fault.title());
        }
        for (status, answer) in answers {
            operation = operation.response(status.to_string(), answer.build());
        }
        for (status, titles) in problems {
            let problem = self.refer::<ProblemBody>();
            operation = operation.response(status.to_string(), refusal(&titles, problem));
        }
        (operation, self.schemas)
    }

    /// A reference to a type's schema, which is kept for the document with those that it refers to.
    fn refer<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name: Cow<'static, str> = T::name();
        T::schemas(&mut self.schemas);
        let reference = Ref::from_schema_name(name.as_ref());
        self.schemas.push((name.into_owned(), T::schema()));
        RefOr::Ref(reference)
    }
}

fn refusal(titles: &[&str], problem: RefOr<Schema>) -> Response {
    let content = ContentBuilder::new().schema(Some(problem)).build();
    ResponseBuilder::new().description(titles.join("; ")).content(PROBLEM, content).build()
}
