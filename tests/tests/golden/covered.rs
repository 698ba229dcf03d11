//! Covers what differs each time: ids become numbered words, in the order in which an answer first has them, and times
//! become their format. Everything else of an answer stays as it is.

/// What is looked for, the longest first: `d` a digit, `h` and `H` a hex digit in lower and upper case, `l` a lower
/// letter, `a` a lower letter or digit; anything else is itself. What does not vary is replaced by the second text.
const PATTERNS: [(&str, &str, Numbered); 7] = [
    ("HHHHHHHH-HHHH-HHHH-HHHH-HHHHHHHHHHHH", "REQUEST", Numbered::Yes),
    ("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", "application", Numbered::Yes),
    ("i-aaaaaaaaaaaaaaaaaaaaaaaaa", "i-instance", Numbered::Yes),
    ("-v1-llllllll-", "-v1-deployment-", Numbered::No),
    ("dddd-dd-dd dd:dd:dd", "yyyy-MM-dd HH:mm:ss", Numbered::No),
    ("dddd-dd-ddTdd:dd:dd", "yyyy-MM-ddTHH:mm:ss", Numbered::No),
    ("dddd-dd-ddTdd:ddZ", "yyyy-MM-ddTHH:mmZ", Numbered::No),
];

#[derive(Clone, Copy, PartialEq)]
enum Numbered {
    Yes,
    No,
}

pub(crate) fn covered(text: &str) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut covered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let found = PATTERNS.iter().find(|(pattern, _, _)| begins(rest, pattern));
        let Some((pattern, word, numbered)) = found else {
            covered.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        };
        let (id, behind) = rest.split_at(pattern.len());
        covered.push_str(word);
        if *numbered == Numbered::Yes {
            if !seen.contains(&(*word, id)) {
                seen.push((word, id));
            }
            let number = seen.iter().filter(|(of, _)| of == word).position(|(_, known)| *known == id);
            covered.push_str(&format!("-{}", number.map_or(0, |number| number + 1)));
        }
        rest = behind;
    }
    covered
}

fn begins(text: &str, pattern: &str) -> bool {
    let Some(head) = text.as_bytes().get(..pattern.len()) else { return false };
    head.iter().zip(pattern.bytes()).all(|(byte, kind)| match kind {
        b'd' => byte.is_ascii_digit(),
        b'h' => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        b'H' => byte.is_ascii_digit() || (b'A'..=b'F').contains(byte),
        b'l' => byte.is_ascii_lowercase(),
        b'a' => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
        literal => *byte == literal,
    })
}

#[test]
fn ids_are_numbered_as_they_come_and_times_keep_their_format() {
    let (one, other) = ("i-5s9boobrmh5000kv4jmi0oeai", "i-0123456789abcdefghijklmno");

    let text = covered(&format!("{other} {one} {other} at 2026-03-27T08:00Z, 上海 2026-03-27 08:00:00"));

    assert_eq!(text, "i-instance-1 i-instance-2 i-instance-1 at yyyy-MM-ddTHH:mmZ, 上海 yyyy-MM-dd HH:mm:ss");
    assert_eq!(covered("shop-web-v1-abcdefgh-0"), "shop-web-v1-deployment-0");
    assert_eq!(covered("AAE90880-4970-4D81-A534-A6C0F3631F74"), "REQUEST-1");
    assert_eq!(covered("i-short, 2026-3-27"), "i-short, 2026-3-27");
}
