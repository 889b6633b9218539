//! What the named router says, with its reasons: for people, in `ddn resolve` and in support.

use nearest::{Choice, Edge, Policy};

use super::{NameError, Names, Resolution, Source, resolve};

/// A resolution and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The name as it was given.
    pub input: String,
    /// The answer.
    pub resolution: Resolution,
    /// Which edge should serve the content, with the reason for each; `None` if there is no content to serve.
    pub edges: Option<Choice>,
    /// The reasons, one line each, in the order in which they were found.
    pub steps: Vec<String>,
}

/// Resolves `input` and explains it, with the edges that this node knows of and the rule by which it chooses among them.
///
/// # Errors
/// As [`resolve`].
pub fn explain(
    names: &dyn Names,
    input: &str,
    edges: &[Edge],
    policy: &Policy,
) -> Result<Explanation, NameError> {
    let resolution = resolve(names, input)?;
    let choice = choice(&resolution, edges, policy);
    let mut steps = name_steps(names, input, &resolution);
    steps.extend(choice.iter().flat_map(edge_steps));
    Ok(Explanation {
        input: input.into(),
        resolution,
        edges: choice,
        steps,
    })
}

/// The edges ranked for the content that was found.
fn choice(resolution: &Resolution, edges: &[Edge], policy: &Policy) -> Option<Choice> {
    let Resolution::Found { records, .. } = resolution else {
        return None;
    };
    let content = records.content.as_ref()?;
    Some(policy.choose(&content.0.to_bytes(), edges))
}

fn name_steps(names: &dyn Names, input: &str, resolution: &Resolution) -> Vec<String> {
    let whose = |name: &str, source: &Option<Source>| match source {
        None => format!("`{name}` is a name of this chain"),
        Some(Source { chain, .. }) => {
            format!(
                "`{name}` is a name of {chain}, which this node does not follow: a node of it has proven this"
            )
        }
    };
    match resolution {
        Resolution::Foreign => {
            let tlds: Vec<String> = names.tlds().all().map(|tld| format!("`.{tld}`")).collect();
            let tlds = tlds.join(" or ");
            vec![format!(
                "{input:?} does not end with {tlds}: it is no name of a chain that this node knows"
            )]
        }
        Resolution::Delegated { name, to } => vec![
            format!(
                "`{name}` is a name of {}, which this node does not follow",
                to.chain
            ),
            format!(
                "nobody has proven what it says: {}; ask {}",
                to.why,
                to.ask.join(" or ")
            ),
        ],
        Resolution::Absent {
            name,
            source,
            height,
            ttl,
        } => vec![
            whose(name, source),
            format!(
                "at height {height} nobody holds it or its owner has no such undername; valid for {ttl} s"
            ),
        ],
        Resolution::Found {
            name,
            under,
            records,
            source,
            height,
            changed,
            expires,
            ..
        } => {
            let held = name.strip_prefix(&format!("{under}.")).unwrap_or(name);
            let mut steps = vec![
                whose(name, source),
                format!(
                    "at height {height} `{held}` is held, last changed at {changed}, expires at {expires}"
                ),
            ];
            if !under.is_empty() {
                steps.push(format!("its owner's record set has the undername `{under}`"));
            }
            steps.push(match (&records.content, &records.origin) {
                (Some(content), _) => format!("its content is {}", content.0),
                (None, Some(origin)) => format!("it has no content, and is served from {origin}"),
                (None, None) => "it points to no content".into(),
            });
            steps
        }
    }
}

fn edge_steps(choice: &Choice) -> Vec<String> {
    if choice.ranked.is_empty() {
        return vec!["this node knows of no edge".into()];
    }
    let line = |verdict: &nearest::Verdict| {
        let Edge {
            id,
            rtt_us,
            capacity,
            inflight,
            ..
        } = verdict.edge;
        let away = match rtt_us {
            u32::MAX => "of unknown distance".to_owned(),
            _ => format!("{rtt_us} µs away"),
        };
        format!(
            "edge {}, {away}, {inflight} of {capacity} in hand: {}",
            short(&id),
            verdict.why
        )
    };
    choice.ranked.iter().map(line).collect()
}

/// The first bytes of an edge's id in hex, enough to tell edges apart.
fn short(id: &nearest::EdgeId) -> String {
    id[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
