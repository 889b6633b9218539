//! One certificate, from the account to the signed chain.

use std::time::Duration;

use instant_acme::{
    Account as Client, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use named::dns::Answer;

use super::Acme;
use super::folder::{Account, Folder};

/// Authorities look at challenges from several places, some more than once.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(300));

/// The account that is kept, or a new one, which is kept before it is used.
pub(super) async fn account(settings: &Acme, folder: &Folder) -> Result<Client, String> {
    // The client takes the provider of the process; whoever set it first set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = match &settings.root {
        Some(root) => Client::builder_with_root(root),
        None => Client::builder(),
    };
    let builder = builder.map_err(|error| match &settings.root {
        Some(root) => format!(
            "gateway.acme_root: {} cannot be used: {}",
            root.display(),
            chain(&error)
        ),
        None => chain(&error),
    })?;
    let directory = &settings.directory;
    if let Some(credentials) = folder.account(directory)? {
        return builder
            .from_credentials(credentials)
            .await
            .map_err(|error| chain(&error));
    }
    let contacts: Vec<&str> = settings.contacts.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let made = builder.create(&wanted, directory.clone(), None).await;
    let (client, credentials) = made.map_err(|error| chain(&error))?;
    folder.keep_account(&Account {
        directory: directory.clone(),
        credentials,
    })?;
    Ok(client)
}

/// A certificate for all hosts and its key, as PEM.
pub(super) async fn certificate(settings: &Acme, account: &Client) -> Result<String, String> {
    let hosts = settings
        .hosts
        .iter()
        .map(|host| Identifier::Dns(host.to_ascii_lowercase()));
    let hosts: Vec<_> = hosts.collect();
    let order = account.new_order(&NewOrder::new(&hosts)).await;
    let mut order = order.map_err(|error| chain(&error))?;
    // Until the authority has looked.
    let answers = answer_all(settings, &mut order).await?;
    let status = order.poll_ready(&PATIENCE).await;
    drop(answers);
    match status {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(refusal(&mut order).await),
        Err(error) => return Err(chain(&error)),
    }
    let key = order.finalize().await.map_err(|error| chain(&error))?;
    let signed = order
        .poll_certificate(&PATIENCE)
        .await
        .map_err(|error| chain(&error))?;
    Ok(format!("{signed}\n{key}"))
}

/// Answers the challenge of each host that is not proven yet, as long as what is returned lives.
async fn answer_all(settings: &Acme, order: &mut Order) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization.map_err(|error| chain(&error))?;
        if authorization.status == AuthorizationStatus::Pending {
            answers.push(answer(settings, authorization).await?);
        }
    }
    Ok(answers)
}

async fn answer(settings: &Acme, mut authorization: AuthorizationHandle<'_>) -> Result<Answer, String> {
    let host = match authorization.identifier().identifier {
        Identifier::Dns(host) => host.clone(),
        other => return Err(format!("the authority asks about {other:?}, which is no host")),
    };
    let url = authorization.url().to_owned();
    let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01) else {
        return Err(format!("the authority takes no proof by DNS for {host} ({url})"));
    };
    let value = challenge.key_authorization().dns_value();
    let answer = settings.challenges.answer(&host, &value);
    challenge.set_ready().await.map_err(|error| chain(&error))?;
    Ok(answer)
}

/// What the authority said of each host that it refused.
async fn refusal(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let problems = state
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        let host = state.identifier().to_string();
        reasons.extend(problems.map(|problem| format!("{host}: {problem}")));
    }
    match reasons.is_empty() {
        true => "the authority refused it and does not say why".into(),
        false => reasons.join("; "),
    }
}

/// An error with its causes in one line; what comes from the authority is cleaned.
fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line.split(|c: char| c.is_control() || c == ' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
