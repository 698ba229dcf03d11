//! As much of HTTP/1.1 as a load generator needs: one answer with a content length out of the bytes received.
//! Must not grow into a client; what it does not know is an answer that never becomes whole.

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// Bytes of head and body together.
    pub(crate) length: usize,
}

/// The answer that the bytes begin with, once all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Option<Answer<'_>> {
    let head_length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_length]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let body_length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    let length = head_length + body_length;
    Some(Answer { status, body: bytes.get(head_length..length)?, length })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_is_one_when_its_last_byte_is_there() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1";

        assert_eq!(parse(&bytes[..20]), None);
        assert_eq!(parse(&bytes[..bytes.len() - 9]), None);
        let answer = parse(bytes).unwrap();
        assert_eq!((answer.status, answer.body, answer.length), (404, &b"hi"[..], bytes.len() - 8));
    }
}
