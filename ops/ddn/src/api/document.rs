//! The OpenAPI document: what the handlers say of themselves, and what they cannot know.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// The document that is served, from what the router collected.
pub fn complete(collected: &OpenApi) -> Value {
    // It is made of text and numbers only.
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    document["info"] = json!({
        "title": "DDN admin API",
        "description": "The API of a DDN node for its operator, on loopback.",
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
    });
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "The content of the file `admin.token` in the data folder.",
        },
    });
    document["security"] = json!([{ "token": [] }]);
    for (path, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            operation["operationId"] = json!(operation_id(method, path));
            finish(operation);
        }
    }
    document
}

/// `get_names_name_history` for `GET /v1/names/{name}/history`: unique, since method and path are.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(method)
        .chain(words.filter(|word| *word != "v1"))
        .collect();
    words.join("_")
}

fn finish(operation: &mut Value) {
    if let Some(body) = operation.get_mut("requestBody") {
        drop_schemas_of_bytes(body);
    }
    for (status, response) in members(&mut operation["responses"]) {
        response["description"] = json!(if status == "default" {
            "It failed"
        } else {
            "Success"
        });
        drop_schemas_of_bytes(response);
    }
}

/// Content that is no JSON is bytes, which a schema says nothing about.
fn drop_schemas_of_bytes(holder: &mut Value) {
    for (media_type, content) in members(&mut holder["content"]) {
        if !media_type.ends_with("json") {
            *content = json!({});
        }
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}
