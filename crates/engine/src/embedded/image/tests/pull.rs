//! Pulls from a registry that does what it should not, or what a bad network does to it (runtime.md §8; `decisions.md`
//! §2.4, §9.11). What a sound registry does is in the scenarios.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex as StdMutex;

use serde_json::json;

use super::*;
use crate::embedded::image::RegistryError;
use crate::embedded::image::fake_registry::{Answer, Asked, FakeRegistry};
use crate::embedded::image::sample::{
    GZIP_LAYER, Layer, OCI_MANIFEST, SampleLayout, gzip, is_root_or_skipped, to_bytes,
};

struct Bench {
    directory: tempfile::TempDir,
    images: Images,
}

impl Bench {
    fn new() -> Self {
        Self::with(RegistrySettings::default())
    }

    fn with(settings: RegistrySettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&directory.path().join("store")).unwrap();
        let mut images = Images::new(store, settings);
        images.first_pause = Duration::from_millis(1);
        Self { directory, images }
    }

    async fn pull(&self, image: &str) -> Result<Digest, Error> {
        let pin = self.images.resolve(image).await?;
        self.images.fetch(image, &pin, || ()).await?;
        Ok(pin)
    }

    fn count(&self, place: &str) -> usize {
        std::fs::read_dir(self.directory.path().join("store").join(place)).unwrap().count()
    }

    fn assert_nothing_taken(&self) {
        for place in ["images", "incoming", "layers"] {
            assert_eq!(self.count(place), 0, "{place}");
        }
    }
}

/// Bytes that do not compress, so that a layer is as long as it should be.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next(&mut state)).collect()
}

fn web() -> SampleLayout {
    let layer = Layer::new().program("pod", b"#!/bin/pod").file("noise", &noise(300_000));
    SampleLayout::of(json!({ "Entrypoint": ["/pod"] }), vec![layer])
}

/// The digest of the layout's image.
fn digest_of(layout: &SampleLayout) -> Digest {
    Digest::new(layout.entries[0]["digest"].as_str().unwrap())
}

fn is_layer(asked: &Asked, layout_layer: &str) -> bool {
    asked.path.ends_with(layout_layer)
}

/// Of the one blob that begins like gzip.
fn layer_hex(layout: &SampleLayout) -> String {
    layout.blobs.iter().find(|(_, bytes)| bytes.starts_with(&[0x1f, 0x8b])).unwrap().0.clone()
}

#[tokio::test]
async fn a_pulled_image_is_the_image_that_was_pushed_and_its_packed_layers_go() {
    if !is_root_or_skipped("a_pulled_image_is_the_image_that_was_pushed_and_its_packed_layers_go") {
        return;
    }
    let layout = web();
    let registry = FakeRegistry::with(&layout, |_, answer| answer).await;
    let bench = Bench::new();

    let pin = bench.pull(&registry.image()).await.unwrap();

    assert_eq!(pin, digest_of(&layout));
    let image = bench.images.store().image(&pin).unwrap();
    assert_eq!(image.config.entrypoint, ["/pod"]);
    assert_eq!(std::fs::read(image.layers[0].join("pod")).unwrap(), b"#!/bin/pod");
    assert_eq!((bench.count("blobs/sha256"), bench.count("partial")), (2, 0), "manifest and config stay");
    let listed = bench.images.store().list().unwrap();
    assert_eq!(listed[0].names, [registry.image()]);
    assert!(bench.images.progress().is_empty());
}

#[tokio::test]
async fn a_cut_layer_is_gone_on_with_and_is_fetched_once_in_all() {
    if !is_root_or_skipped("a_cut_layer_is_gone_on_with_and_is_fetched_once_in_all") {
        return;
    }
    let layout = web();
    let layer = layer_hex(&layout);
    let registry = FakeRegistry::with(&layout, {
        let layer = layer.clone();
        move |asked, answer| match (is_layer(asked, &layer), asked.before) {
            (true, 0 | 1) => answer.ranged(asked).cut_after(100_000),
            _ => answer.ranged(asked),
        }
    })
    .await;
    let bench = Bench::new();

    bench.pull(&registry.image()).await.unwrap();

    let ranges: Vec<Option<String>> = registry
        .blobs()
        .into_iter()
        .filter(|asked| is_layer(asked, &layer))
        .map(|asked| asked.range)
        .collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_there_and_a_registry_without_ranges_begins_again() {
    if !is_root_or_skipped("a_restart_goes_on_with_what_was_there_and_a_registry_without_ranges_begins_again")
    {
        return;
    }
    let layout = web();
    let layer = layer_hex(&layout);
    let bytes = layout.blobs.iter().find(|(hex, _)| *hex == layer).unwrap().1.clone();
    // The first half as it is, as it is not, and the whole with too much.
    let (half, mut wrong) = (bytes[..bytes.len() / 2].to_vec(), bytes[..bytes.len() / 2].to_vec());
    wrong[7] ^= 1;
    let too_long = [&bytes[..], b"more"].concat();
    for (found, knows_ranges) in
        [(half.clone(), true), (half, false), (wrong, true), (too_long, true), (bytes, true)]
    {
        let registry = FakeRegistry::with(
            &layout,
            move |asked, answer| {
                if knows_ranges { answer.ranged(asked) } else { answer }
            },
        )
        .await;
        let bench = Bench::new();
        std::fs::write(bench.images.store().partial_path(&Digest::new(format!("sha256:{layer}"))), &found)
            .unwrap();

        let pin = bench.pull(&registry.image()).await.unwrap();

        assert!(bench.images.store().image(&pin).is_ok(), "{} bytes were there", found.len());
    }
}

#[tokio::test]
async fn instances_that_wait_at_the_same_time_share_one_fetch_of_every_blob() {
    if !is_root_or_skipped("instances_that_wait_at_the_same_time_share_one_fetch_of_every_blob") {
        return;
    }
    let layout = web();
    let registry = FakeRegistry::with(&layout, |_, answer| answer).await;
    let bench = Bench::new();
    let (image, pin) = (registry.image(), digest_of(&layout));

    let fetches = (0..8).map(|_| bench.images.fetch(&image, &pin, || ()));
    futures_util::future::try_join_all(fetches).await.unwrap();

    let mut paths: Vec<String> = registry.blobs().into_iter().map(|asked| asked.path).collect();
    let asked = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(asked, paths.len(), "no blob twice");
}

/// What a registry answers, and what is said of it.
struct Fault {
    what: &'static str,
    change: fn(&Asked, Answer) -> Answer,
    hopeless: bool,
    expected: &'static str,
}

fn on_manifest(asked: &Asked, answer: Answer, other: Answer) -> Answer {
    if asked.path.contains("/manifests/") { other } else { answer }
}

fn on_blob(asked: &Asked, answer: Answer, change: impl Fn(Answer) -> Answer) -> Answer {
    if asked.path.contains("/blobs/") { change(answer) } else { answer }
}

const FAULTS: [Fault; 21] = [
    Fault {
        what: "404",
        change: |a, b| on_manifest(a, b, Answer::of(404, "{}")),
        hopeless: true,
        expected: "has no `edge/web:v1`",
    },
    Fault {
        what: "400",
        change: |a, b| on_manifest(a, b, Answer::of(400, "{}")),
        hopeless: true,
        expected: "answered 400",
    },
    Fault {
        what: "401",
        change: |a, b| on_manifest(a, b, Answer::of(401, "")),
        hopeless: true,
        expected: "credentials",
    },
    Fault {
        what: "403",
        change: |a, b| on_manifest(a, b, Answer::of(403, "")),
        hopeless: true,
        expected: "(403)",
    },
    Fault {
        what: "429",
        change: |a, b| on_manifest(a, b, Answer::of(429, "")),
        hopeless: false,
        expected: "answered 429",
    },
    Fault {
        what: "500",
        change: |a, b| on_manifest(a, b, Answer::of(500, "secret")),
        hopeless: false,
        expected: "answered 500",
    },
    Fault {
        what: "503",
        change: |a, b| on_manifest(a, b, Answer::of(503, "")),
        hopeless: false,
        expected: "answered 503",
    },
    Fault {
        what: "500 for a blob",
        change: |a, b| on_blob(a, b, |_| Answer::of(502, "")),
        hopeless: false,
        expected: "answered 502",
    },
    Fault {
        what: "404 for a blob",
        change: |a, b| on_blob(a, b, |_| Answer::of(404, "")),
        hopeless: true,
        expected: "has no `edge/web@sha256:",
    },
    Fault {
        what: "not JSON",
        change: |a, b| on_manifest(a, b, Answer::of(200, "<html>").header("Content-Type", "text/html")),
        hopeless: true,
        expected: "neither a manifest nor an index",
    },
    Fault {
        what: "a manifest without an end",
        change: |a, b| {
            on_manifest(a, b, Answer::of(200, vec![b' '; 5 << 20]).header("Content-Type", OCI_MANIFEST))
        },
        hopeless: true,
        expected: "more than 4194304 bytes",
    },
    Fault {
        what: "a manifest cut",
        change: |a, b| if a.path.contains("/manifests/") { b.cut_after(20) } else { b },
        hopeless: false,
        expected: "broke off",
    },
    Fault {
        what: "a manifest of other bytes than its digest",
        change: |a, b| {
            let said = format!("sha256:{}", "0".repeat(64));
            if a.path.contains("/manifests/") { b.header("Docker-Content-Digest", said) } else { b }
        },
        hopeless: false,
        expected: "does not have the digest that came beside it",
    },
    Fault {
        what: "a manifest that is none",
        change: |a, b| on_manifest(a, b, Answer::of(200, "{]").header("Content-Type", OCI_MANIFEST)),
        hopeless: true,
        expected: "the image is refused",
    },
    Fault {
        what: "a redirect in a circle",
        change: |a, b| on_manifest(a, b, Answer::of(302, "").header("Location", a.path.clone())),
        hopeless: false,
        expected: "cannot be reached",
    },
    Fault {
        what: "a blob of other bytes",
        change: |a, b| {
            on_blob(a, b, |mut b| {
                b.body[9] ^= 1;
                b
            })
        },
        hopeless: true,
        expected: "do not have this digest",
    },
    Fault {
        what: "a blob with more bytes",
        change: |a, b| {
            on_blob(a, b, |mut b| {
                b.body.push(0);
                b
            })
        },
        hopeless: true,
        expected: "larger than its descriptor says",
    },
    Fault {
        what: "a blob with fewer bytes",
        change: |a, b| {
            on_blob(a, b, |mut b| {
                b.body.pop();
                b.ranged(a)
            })
        },
        hopeless: false,
        expected: "registry",
    },
    Fault {
        what: "another range",
        change: |a, b| on_blob(a, b, |b| Answer { status: 206, ..b }.header("Content-Range", "bytes 5-9/10")),
        hopeless: false,
        expected: "another part of a blob",
    },
    Fault {
        what: "always cut at once",
        change: |a, b| on_blob(a, b, |b| b.cut_after(0)),
        hopeless: false,
        expected: "broke off",
    },
    Fault {
        what: "a foreign challenge",
        change: |a, b| {
            on_manifest(
                a,
                b,
                Answer::of(401, "")
                    .header("WWW-Authenticate", "Bearer realm=\"http://registry.example/token\""),
            )
        },
        hopeless: false,
        expected: "registry",
    },
];

#[tokio::test]
async fn whatever_a_registry_answers_is_told_from_what_may_pass_and_never_repeated() {
    if !is_root_or_skipped("whatever_a_registry_answers_is_told_from_what_may_pass_and_never_repeated") {
        return;
    }
    for Fault { what, change, hopeless, expected } in FAULTS {
        let registry = FakeRegistry::with(&web(), change).await;
        let bench = Bench::new();

        let error = bench.pull(&registry.image()).await.unwrap_err();

        let text = crate::embedded::image::chain(&error);
        assert_eq!(error.is_hopeless(), hopeless, "{what}: {text}");
        assert!(text.contains(expected), "{what}: {text}");
        assert!(!text.contains("secret") && !text.contains("html"), "{what}: {text}");
        bench.assert_nothing_taken();
        assert!(registry.asked().len() < 40, "{what}: bounded tries");
    }
}

#[tokio::test]
async fn what_cannot_be_the_image_is_never_pinned() {
    for change in [
        |_: &Asked, _: Answer| Answer::of(200, "{]").header("Content-Type", OCI_MANIFEST),
        |_: &Asked, answer: Answer| {
            answer.header("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64)))
        },
    ] {
        let registry = FakeRegistry::with(&web(), change).await;

        assert!(Bench::new().images.resolve(&registry.image()).await.is_err());
    }
}

#[tokio::test]
async fn a_digest_that_leads_to_other_bytes_is_refused() {
    let layout = web();
    let other = SampleLayout::of(json!({}), vec![Layer::new()]);
    let (wanted, bytes) = (digest_of(&layout), other.blobs.last().unwrap().1.clone());
    let registry =
        FakeRegistry::start(move |_| Answer::of(200, bytes.clone()).header("Content-Type", OCI_MANIFEST))
            .await;
    let bench = Bench::new();
    let image = format!("{}/edge/web@{wanted}", registry.address);

    let resolved = bench.images.resolve(&image).await.unwrap_err();
    let fetched = bench.images.fetch(&image, &wanted, || ()).await.unwrap_err();

    for error in [resolved, fetched] {
        assert!(matches!(&error, Error::Damaged { digest, .. } if *digest == wanted), "{error}");
    }
}

#[tokio::test]
async fn sizes_are_refused_before_a_byte_of_them_is_asked_for() {
    let huge = 40_u64 << 30;
    let layout = {
        let mut layout = SampleLayout::new();
        let tar = Layer::new().file("a", b"a").tar();
        let image = layout.image(json!({}), vec![(GZIP_LAYER, gzip(&tar), tar)]);
        let bytes =
            &layout.blobs.iter().find(|(hex, _)| image["digest"] == format!("sha256:{hex}")).unwrap().1;
        let mut manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        manifest["layers"][0]["size"] = json!(huge);
        let image = layout.blob(OCI_MANIFEST, &to_bytes(&manifest));
        layout.tagged(image, "v1")
    };
    let registry = FakeRegistry::with(&layout, |_, answer| answer).await;
    let bench = Bench::new();

    let error = bench.pull(&registry.image()).await.unwrap_err();

    assert!(error.to_string().contains("larger than an image may be"), "{error}");
    assert!(registry.blobs().is_empty());
}

#[tokio::test]
async fn a_registry_that_speaks_plain_http_where_tls_is_due_is_said_to() {
    let registry = FakeRegistry::with(&web(), |_, answer| answer).await;
    let port = registry.address.rsplit_once(':').unwrap().1;
    // Loopback by another name, which nothing takes for this machine.
    let name = format!("0.0.0.0:{port}");
    let image = format!("{name}/edge/web:v1");

    let error = Bench::new().images.resolve(&image).await.unwrap_err();
    assert!(matches!(&error, Error::Registry(RegistryError::PlainHttp { .. })), "{error}");
    assert!(error.is_hopeless() && error.to_string().contains("`plain_http` under `[images]`"), "{error}");

    let listed = RegistrySettings { plain_http: vec![name], ..RegistrySettings::default() };
    Bench::with(listed).images.resolve(&image).await.unwrap();
}

#[tokio::test]
async fn nobody_listening_may_pass() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/edge/web", listener.local_addr().unwrap());
    drop(listener);

    let error = Bench::new().images.resolve(&image).await.unwrap_err();

    assert!(!error.is_hopeless());
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

/// A registry whose token server is itself; what it was asked, and whether it gives.
async fn with_tokens(layout: &SampleLayout, good: &'static str) -> FakeRegistry {
    let address = Arc::new(StdMutex::new(String::new()));
    let told = Arc::clone(&address);
    let registry = FakeRegistry::with(layout, move |asked, answer| {
        if asked.path.starts_with("/token") {
            return match asked.authorization.as_deref() {
                Some(given) if given == good => Answer::of(200, r#"{"token":"t0ken","expires_in":300}"#),
                None if good.is_empty() => Answer::of(200, r#"{"access_token":"t0ken"}"#),
                Some(_) | None => Answer::of(401, ""),
            };
        }
        if asked.authorization.as_deref() == Some("Bearer t0ken") {
            return answer;
        }
        let realm = format!("http://{}/token", told.lock().unwrap());
        Answer::of(401, "").header("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"edge\""))
    })
    .await;
    *address.lock().unwrap() = registry.address.clone();
    registry
}

#[tokio::test]
async fn a_token_is_got_with_the_credentials_or_without_and_kept() {
    if !is_root_or_skipped("a_token_is_got_with_the_credentials_or_without_and_kept") {
        return;
    }
    let layout = web();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.toml");
    std::fs::write(&path, "username = \"edge\"\npassword = \"s3cret\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (good, credentials) in [("", None), ("Basic ZWRnZTpzM2NyZXQ=", Some(path.clone()))] {
        let registry = with_tokens(&layout, good).await;
        let credentials = credentials.map(|path| (registry.address.clone(), path));
        let settings = RegistrySettings {
            credentials: credentials.into_iter().collect(),
            ..RegistrySettings::default()
        };

        Bench::with(settings).pull(&registry.image()).await.unwrap();

        let tokens: Vec<Asked> =
            registry.asked().into_iter().filter(|asked| asked.path.starts_with("/token")).collect();
        assert_eq!(tokens.len(), 1, "one token serves the whole pull");
        assert_eq!(tokens[0].path, "/token?service=edge&scope=repository%3Aedge%2Fweb%3Apull");
    }

    let registry = with_tokens(&layout, "Basic somebody else's").await;
    let settings = RegistrySettings {
        credentials: BTreeMap::from([(registry.address.clone(), path)]),
        ..RegistrySettings::default()
    };
    let error = Bench::with(settings).pull(&registry.image()).await.unwrap_err();
    assert!(matches!(&error, Error::Registry(RegistryError::NotAccepted { .. })), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn credentials_are_not_sent_where_a_registry_redirects_to() {
    if !is_root_or_skipped("credentials_are_not_sent_where_a_registry_redirects_to") {
        return;
    }
    let layout = web();
    let elsewhere = FakeRegistry::with(&layout, |_, answer| answer).await;
    // The same machine under another name is another host.
    let target = elsewhere.address.replace("127.0.0.1", "localhost");
    let registry = FakeRegistry::with(&layout, move |asked, answer| {
        if asked.authorization.is_none() {
            return Answer::of(401, "").header("WWW-Authenticate", "Basic realm=\"r\"");
        }
        match asked.path.contains("/blobs/") {
            true => Answer::of(307, "").header("Location", format!("http://{target}{}", asked.path)),
            false => answer,
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.toml");
    std::fs::write(&path, "username = \"edge\"\npassword = \"s3cret\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = RegistrySettings {
        credentials: BTreeMap::from([(registry.address.clone(), path)]),
        ..RegistrySettings::default()
    };

    Bench::with(settings).pull(&registry.image()).await.unwrap();

    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
}

#[tokio::test]
async fn where_a_registry_redirects_to_cannot_ask_for_its_credentials() {
    let layout = web();
    let thief = FakeRegistry::with(&layout, |_, _| Answer::of(200, r#"{"token":"t0ken"}"#)).await;
    let realm = format!("Bearer realm=\"http://{}/token\"", thief.address);
    let elsewhere = FakeRegistry::with(&layout, move |_, _| {
        Answer::of(401, "").header("WWW-Authenticate", realm.clone())
    })
    .await;
    let target = elsewhere.address.clone();
    let registry = FakeRegistry::with(&layout, move |asked, answer| match asked.path.contains("/blobs/") {
        true => Answer::of(307, "").header("Location", format!("http://{target}{}", asked.path)),
        false => answer,
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.toml");
    std::fs::write(&path, "username = \"edge\"\npassword = \"s3cret\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = RegistrySettings {
        credentials: BTreeMap::from([(registry.address.clone(), path)]),
        ..RegistrySettings::default()
    };

    let error = Bench::with(settings).pull(&registry.image()).await.unwrap_err();

    assert!(matches!(&error, Error::Registry(RegistryError::Protocol { .. })), "{error}");
    assert!(!elsewhere.asked().is_empty());
    assert!(thief.asked().is_empty(), "{:?}", thief.asked());
}

#[tokio::test]
async fn a_fetch_says_when_it_begins_and_what_is_there_needs_nobody() {
    if !is_root_or_skipped("a_fetch_says_when_it_begins_and_what_is_there_needs_nobody") {
        return;
    }
    let layout = web();
    let registry = FakeRegistry::with(&layout, |_, answer| answer).await;
    let bench = Bench::new();
    let (image, pin) = (registry.image(), digest_of(&layout));
    let mut begun = 0;
    bench.images.fetch(&image, &pin, || begun += 1).await.unwrap();
    drop(registry);

    bench.images.fetch(&image, &pin, || begun += 1).await.unwrap();

    assert_eq!(begun, 1);
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_the_board_and_keeps_its_bytes() {
    let layout = web();
    let layer = layer_hex(&layout);
    let registry = FakeRegistry::with(&layout, {
        let layer = layer.clone();
        // Cut, and then never again a byte.
        move |asked, answer| match (is_layer(asked, &layer), asked.before) {
            (true, 0) => answer.cut_after(1 << 10),
            (true, _) => Answer::of(503, ""),
            (false, _) => answer,
        }
    })
    .await;
    let bench = Bench::new();
    let (image, pin) = (registry.image(), digest_of(&layout));
    let partial = bench.images.store().partial_path(&Digest::new(format!("sha256:{layer}")));

    let fetch = bench.images.fetch(&image, &pin, || ());
    let watch = async {
        while std::fs::metadata(&partial).map_or(0, |found| found.len()) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.images.progress()
    };
    let during = tokio::select! {
        _ = fetch => panic!("it cannot have come"),
        during = watch => during,
    };

    let progress = during[&pin];
    assert!(progress.done_bytes >= 1 << 10 && progress.done_bytes < progress.total_bytes, "{progress:?}");
    assert!(bench.images.progress().is_empty());
    assert_eq!(std::fs::metadata(&partial).unwrap().len(), 1 << 10);
}
