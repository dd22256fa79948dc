//! A POST request that tells an address of an occasion, in one of three forms.

use std::time::Duration;

use serde_json::json;
use ureq::Agent;
use ureq::http::Request;

use super::occasion::Told;
use crate::workspace_settings::HookSettings;
use crate::workspace_settings::hooks::{Form, On};

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Bytes of an answer that are looked at.
const MOST_OF_AN_ANSWER: u64 = 4096;

/// Sends it and waits for the answer.
///
/// # Errors
/// Why it was not taken. What variables hold, a token say, is in no such sentence.
pub fn send(address: &str, hook: &HookSettings, told: &Told, timeout: Duration) -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).ok();
    let address = expand(address, &variable)?;
    let letter = letter(hook.form, told);
    let mut request = Request::post(&address);
    for (name, value) in &letter.headers {
        request = request.header(name, value);
    }
    for (name, value) in &hook.headers {
        request = request.header(name, expand(value, &variable)?);
    }
    let request = request.body(letter.body).map_err(|_| "its address or a header is not valid".to_owned())?;
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(timeout))
        // What was meant for one address is not told to another.
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("overnight/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut answer = agent.run(request).map_err(|error| match error {
        ureq::Error::BadUri(_) => "its address is not valid".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", timeout.as_secs()),
        other => format!("not sent: {other}"),
    })?;
    if answer.status().is_success() {
        return Ok(());
    }
    let words = answer.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_string().unwrap_or_default();
    let words: String = words.lines().next().unwrap_or_default().chars().take(200).collect();
    let colon = if words.is_empty() { "" } else { ": " };
    Err(format!("answered {}{colon}{words}", answer.status()))
}

/// The occasion in that form.
pub fn letter(form: Form, told: &Told) -> Letter {
    let of_json = |body: serde_json::Value| Letter {
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.to_string(),
    };
    match form {
        Form::Json => of_json(told.facts.clone()),
        Form::Slack => {
            // Its text may have links and mentions.
            let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            of_json(json!({ "text": format!("*{}*\n{}", text(&told.title), text(&told.message)) }))
        }
        Form::Ntfy => {
            let (priority, tag) = match told.on {
                On::RunFinished => ("default", "white_check_mark"),
                On::RunFailed => ("high", "x"),
                On::BatchFinished => ("default", "sunrise"),
                On::Alert => ("high", "warning"),
            };
            let title: String = told.title.chars().filter(|c| matches!(c, ' '..='~')).collect();
            let headers = [("Title", title.as_str()), ("Priority", priority), ("Tags", tag)];
            Letter {
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
                body: told.message.clone(),
            }
        }
    }
}

/// `${NAME}` replaced by what the variable holds.
///
/// # Errors
/// There is no such variable; it is named.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        expanded += before;
        expanded += &variable(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        rest = behind;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_missing_ones_are_named() {
        let variable = |name: &str| (name == "TOKEN").then(|| "a$b".to_owned());
        let expanded = |text: &str| expand(text, &variable);
        assert_eq!(expanded("Bearer ${TOKEN}, ${TOKEN}!"), Ok("Bearer a$b, a$b!".to_owned()));
        assert_eq!(expanded("$TOKEN ${TOKEN"), Ok("$TOKEN ${TOKEN".to_owned()));
        assert_eq!(expanded("${OTHER}"), Err("the variable OTHER is not set".to_owned()));
    }
}
