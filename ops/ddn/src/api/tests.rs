//! The document describes what is served, and what is served is what the list of paths promises.

use std::collections::BTreeSet;

use super::paths::*;
use super::*;

/// Every path that needs the token.
const GUARDED: [&str; 37] = [
    STATUS,
    CONFIG,
    PUBLISH,
    RESOLVE,
    NAMES,
    NAME,
    NAME_HISTORY,
    NAME_REGISTER,
    NAME_SET,
    NAME_RENEW,
    NAME_TRANSFER,
    NAME_RELEASE,
    ASSETS,
    ASSETS_VERIFY,
    ASSET,
    ASSET_TRANSFER,
    ASSET_TOMBSTONE,
    WALLET,
    WALLET_NEW,
    WALLET_IMPORT,
    WALLET_EXPORT,
    WALLET_SEND,
    ACCOUNT,
    CHAIN_STATUS,
    CHAIN_BLOCK,
    CHAIN_TX,
    CHAIN_TXS,
    CHAIN_PROOF,
    REPO_STAT,
    REPO_VERIFY,
    REPO_GC,
    REPO_PINS,
    REPO_PIN,
    REPO_IMPORT,
    REPO_EXPORT,
    CONTENT,
    CONTENT_ROOT,
];

#[test]
fn the_document_has_every_path_and_no_other() {
    let (_, document) = guarded().split_for_parts();
    let described: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
    assert_eq!(described, GUARDED.into_iter().collect());
}

#[test]
fn the_document_is_openapi_3_1_and_asks_for_the_token() {
    let (_, collected) = guarded().split_for_parts();
    let document = document::complete(&collected);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    assert_eq!(document["security"][0]["token"], serde_json::json!([]));
    let text = document.to_string();
    for name in [
        "NodeStatus",
        "PublishEvent",
        "AssetVerified",
        "BlockView",
        "ErrorBody",
    ] {
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name} is described"
        );
        assert!(
            text.contains(&format!("#/components/schemas/{name}")),
            "{name} is used"
        );
    }
}

#[test]
fn every_operation_has_its_own_id_and_describes_its_answers() {
    let (_, collected) = guarded().split_for_parts();
    let document = document::complete(&collected);
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("operations").values() {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} is there twice");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{id} has a summary"
            );
            for response in operation["responses"].as_object().expect("responses").values() {
                assert!(response["description"].is_string(), "{id} describes its answers");
            }
        }
    }
    assert!(
        ids.contains("get_names_name_history") && ids.contains("post_publish"),
        "{ids:?}"
    );
}
