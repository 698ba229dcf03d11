//! Who we are to a registry: what it asks for in `WWW-Authenticate`, answered with the operator's credentials or a token
//! that they, or nobody at all, get from the server it names. Tokens are kept in memory until they are refused or old.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::credentials::{self, Credentials};
use super::{DOCUMENT_WITHIN, Error, Registry, body};
use crate::embedded::image::reference::RegistryReference;

/// Longest answer of a token server.
const TOKEN_BYTES_AT_MOST: u64 = 256 << 10;
/// What a token is good for where nothing is said (the distribution specification), less some.
const TOKEN_LIFE: Duration = Duration::from_secs(50);
/// However long it is said to be good for.
const TOKEN_LIFE_AT_MOST: Duration = Duration::from_secs(3_600);
/// Repositories whose tokens are remembered.
const TOKENS_AT_MOST: usize = 1_000;

/// What worked last, by registry and repository.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    tokens: HashMap<(String, String), Token>,
    /// Counts how often all were forgotten: what was asked for before that is not remembered after it.
    generation: u64,
}

struct Token {
    header: String,
    until: Instant,
}

/// One way of saying who one is.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Grant {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Registry {
    /// The `Authorization` header that answers the challenges; nothing where there is no answer.
    pub(super) async fn authorize(
        &self,
        image: &RegistryReference,
        headers: &HeaderMap,
    ) -> Result<Option<String>, Error> {
        let key = (image.registry().to_owned(), image.repository().to_owned());
        // Before the settings are looked at: those change first, and then all is forgotten.
        let generation = self.tokens.begin(&key);
        let settings = self.settings();
        let path = settings.credentials.get(image.registry());
        let credentials = path.map(|path| credentials::read(image.registry(), path)).transpose()?;
        let headers = headers.get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<Challenge> =
            headers.filter_map(|value| value.to_str().ok()).flat_map(challenges).collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let (header, life) = match (bearer.or(challenges.first()), credentials) {
            (Some(Challenge::Bearer { realm, service, scope }), credentials) => {
                let scope =
                    scope.clone().unwrap_or_else(|| format!("repository:{}:pull", image.repository()));
                let asked = [("service", service.as_deref()), ("scope", Some(&scope))];
                self.token(image, realm, &asked, credentials).await?
            }
            (Some(Challenge::Basic), Some(credentials)) => (credentials.basic(), TOKEN_LIFE_AT_MOST),
            (Some(Challenge::Basic), None) | (None, _) => return Ok(None),
        };
        self.tokens.remember(key, Token { header: header.clone(), until: Instant::now() + life }, generation);
        Ok(Some(header))
    }

    async fn token(
        &self,
        image: &RegistryReference,
        realm: &str,
        asked: &[(&str, Option<&str>)],
        credentials: Option<Credentials>,
    ) -> Result<(String, Duration), Error> {
        let protocol = |reason| Error::Protocol { registry: image.registry().to_owned(), reason };
        let mut url = Url::parse(realm).map_err(|_| protocol("its token server has no sound address"))?;
        for (name, value) in asked {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        // A registry behind TLS must not choose who listens in, nor make us ask around on this machine.
        if !(url.scheme() == "https" || (url.scheme() == "http" && self.scheme(image) == "http")) {
            return Err(protocol("its token server is not behind TLS"));
        }
        let mut request = self.client(image, &url)?.get(url).timeout(DOCUMENT_WITHIN);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials.basic());
        }
        let response = request.send().await.map_err(|error| Error::of(image.registry(), error))?;
        match response.status() {
            StatusCode::OK => {}
            // Some answer 400 for a name that nobody is known by.
            StatusCode::BAD_REQUEST => return Err(self.refusal(image, StatusCode::UNAUTHORIZED)),
            status => return Err(self.refusal(image, status)),
        }
        let bytes = body(image, response, TOKEN_BYTES_AT_MOST).await?;
        let grant: Grant =
            serde_json::from_slice(&bytes).map_err(|_| protocol("its token server gave no token"))?;
        let token = grant.token.or(grant.access_token).filter(|token| is_header_text(token));
        let token = token.ok_or_else(|| protocol("its token server gave no token"))?;
        let life = grant.expires_in.map_or(TOKEN_LIFE, |seconds| {
            Duration::from_secs(seconds.saturating_sub(10)).min(TOKEN_LIFE_AT_MOST)
        });
        Ok((format!("Bearer {token}"), life))
    }
}

impl Tokens {
    /// Forgets all of them.
    pub(super) fn forget(&self) {
        let mut remembered = self.lock();
        remembered.generation += 1;
        remembered.tokens.clear();
    }

    /// Forgets one that was not accepted; says what to remember the next with.
    fn begin(&self, key: &(String, String)) -> u64 {
        let mut remembered = self.lock();
        remembered.tokens.remove(key);
        remembered.generation
    }

    fn remember(&self, key: (String, String), token: Token, generation: u64) {
        let mut remembered = self.lock();
        if remembered.generation != generation {
            return;
        }
        if remembered.tokens.len() >= TOKENS_AT_MOST {
            remembered.tokens.clear();
        }
        remembered.tokens.insert(key, token);
    }

    /// What worked for this repository before.
    pub(super) fn known(&self, image: &RegistryReference) -> Option<String> {
        let key = (image.registry().to_owned(), image.repository().to_owned());
        let remembered = self.lock();
        let token = remembered.tokens.get(&key);
        token.filter(|token| token.until > Instant::now()).map(|token| token.header.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens")
    }
}

fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `Bearer realm="…",service="…",scope="…"`, several of them in one header as well; other schemes are passed over.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (parameters, left) = parameters(after);
        let parameter = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameter("realm")
        {
            found.push(Challenge::Bearer { realm, service: parameter("service"), scope: parameter("scope") });
        }
        rest = left.trim_start_matches([' ', ',']);
    }
    found
}

/// `name="value"` or `name=value`, separated by commas, up to the next scheme; and what comes after.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        if name.contains([' ', ',']) {
            break;
        }
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted),
            None => {
                let end = after.find([',', ' ']).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        found.push((name.to_owned(), value));
        rest = left.trim_start_matches([' ', ',']);
    }
    (found, rest)
}

/// Up to the closing quote; a backslash takes the next character as it is.
fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_credentials_that_changed_meanwhile_is_not_remembered() {
        let tokens = Tokens::default();
        let key = || ("registry.lan".to_owned(), "edge/web".to_owned());
        let token = || Token { header: "Bearer t".into(), until: Instant::now() + TOKEN_LIFE };

        let before = tokens.begin(&key());
        tokens.forget();
        tokens.remember(key(), token(), before);
        assert!(tokens.lock().tokens.is_empty());

        let after = tokens.begin(&key());
        tokens.remember(key(), token(), after);
        assert_eq!(tokens.lock().tokens.len(), 1);
    }

    #[test]
    fn challenges_are_read_in_every_form_that_registries_send() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        for (header, expected) in [
            ("Basic realm=\"registry\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:a/b:pull,push\"",
                vec![bearer("https://auth.example/token", Some("r"), Some("repository:a/b:pull,push"))],
            ),
            (
                "bearer realm=https://auth.example/token",
                vec![bearer("https://auth.example/token", None, None)],
            ),
            (
                "Basic realm=\"x\", Bearer realm=\"https://a\" , service=\"q\\\"uote\"",
                vec![Challenge::Basic, bearer("https://a", Some("q\"uote"), None)],
            ),
            ("Negotiate, Basic realm=\"x\"", vec![Challenge::Basic]),
            ("Bearer service=\"no realm\"", vec![]),
            ("Bearer realm=\"https://never.closed", vec![bearer("https://never.closed", None, None)]),
            ("", vec![]),
            (",,,", vec![]),
        ] {
            assert_eq!(challenges(header), expected, "{header}");
        }
    }
}
