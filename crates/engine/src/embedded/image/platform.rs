//! Which of an index's images this machine can run (runtime.md §8, last paragraph). Pure.

use serde::Deserialize;

/// A platform as an index states it; all fields are the file's own text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
}

impl Platform {
    pub(super) fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// Attestations stand in an index under this platform; they are no images.
    pub(super) fn is_attestation(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// How well `self` suits a machine of `wanted`; smaller is better, nothing is "not at all".
    pub(super) fn rank_for(&self, wanted: &Self) -> Option<usize> {
        if self.os != wanted.os || self.architecture != wanted.architecture {
            return None;
        }
        let accepted: &[&str] = match self.architecture.as_str() {
            "amd64" => &["", "v1"],
            "arm64" => &["", "v8"],
            "arm" => &["v7", "v6", ""],
            _ => &[""],
        };
        let variant = self.variant.as_deref().unwrap_or_default();
        let rank = accepted.iter().position(|name| *name == variant)?;
        // `arm64` and `arm64/v8`, `amd64` and `amd64/v1` are the same thing: then the order of the index counts.
        Some(if self.architecture == "arm" { rank } else { 0 })
    }

    /// For messages: the words of the file, cut to what a platform can look like.
    pub(super) fn shown(&self) -> String {
        let plain = |text: &str| -> String {
            text.chars()
                .filter(|character| character.is_ascii_alphanumeric() || "._-".contains(*character))
                .take(20)
                .collect()
        };
        let mut text = format!("{}/{}", plain(&self.os), plain(&self.architecture));
        if let Some(variant) = &self.variant {
            text.push('/');
            text.push_str(&plain(variant));
        }
        text
    }
}

/// The first of the best suited.
pub(super) fn choose<'a>(offered: impl Iterator<Item = &'a Platform>, wanted: &Platform) -> Option<usize> {
    offered
        .enumerate()
        .filter_map(|(index, platform)| Some((platform.rank_for(wanted)?, index)))
        .min()
        .map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform { os: parts.next().unwrap(), architecture: parts.next().unwrap(), variant: parts.next() }
    }

    #[test]
    fn the_first_that_suits_best_is_chosen() {
        for (wanted, offered, expected) in [
            ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some(1)),
            ("linux/amd64", &["windows/amd64", "linux/amd64/v1", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/amd64/v3"], None),
            ("linux/amd64", &["unknown/unknown"], None),
            ("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some(1)),
            ("linux/arm", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
            ("linux/arm", &["linux/arm/v5"], None),
            ("linux/riscv64", &[], None),
        ] {
            let offered: Vec<_> = offered.iter().map(|text| platform(text)).collect();

            assert_eq!(choose(offered.iter(), &platform(wanted)), expected, "{wanted} of {offered:?}");
        }
    }

    #[test]
    fn a_message_takes_no_strange_text_from_the_file() {
        let strange = platform("linux\u{1b}[31m/amd64 and much more than a platform would say/v1");

        assert_eq!(strange.shown(), "linux31m/amd64andmuchmorethan/v1");
    }
}
