//! Tag lists (RFC 6376 §3.2), in which both a signature and a key record are written.
//!
//! Guarantee: a list that could be read in two ways is not read at all: a tag that stands twice, a
//! name with white space or a capital letter in it.

/// The tags of a list, in its order.
#[derive(Debug)]
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// `None` for what is no tag list.
    pub(super) fn read(list: &'a [u8]) -> Option<Self> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for tag in str::from_utf8(list).ok()?.split(';') {
            let tag = tag.trim_matches(is_folding);
            if tag.is_empty() {
                continue;
            }
            let (name, value) = tag.split_once('=')?;
            let name = name.trim_end_matches(is_folding);
            let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !sound || tags.len() == MAX_TAGS || tags.iter().any(|(other, _)| *other == name) {
                return None;
            }
            tags.push((name, value.trim_start_matches(is_folding)));
        }
        Some(Self(tags))
    }

    /// What a tag says, without the white space around it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| *value)
    }

    /// The name of the first tag.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }
}

/// RFC 6376 names fewer than twenty.
const MAX_TAGS: usize = 50;

fn is_folding(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The items of a value such as `h=`, between colons, without the white space around them.
pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(':').map(|item| item.trim_matches(is_folding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_one_way_or_not_at_all() {
        let tags =
            Tags::read(b" v=1;\r\n\td = a.example ; h=From : To; b=a=\r\n b=; x_1=;").unwrap();
        assert_eq!(tags.first(), Some("v"));
        assert_eq!(tags.get("d"), Some("a.example"));
        assert_eq!(tags.get("b"), Some("a=\r\n b="));
        assert_eq!(tags.get("x_1"), Some(""));
        assert_eq!(tags.get("l"), None);
        assert_eq!(
            items("From : To\r\n :").collect::<Vec<_>>(),
            ["From", "To", ""]
        );
        for broken in [
            "v=1; v=1",
            "v",
            "b h=x",
            "=1",
            "1=1",
            "D=a",
            "v=1; \u{7f}=2",
            "v\0=1",
        ] {
            assert!(Tags::read(broken.as_bytes()).is_none(), "{broken:?}");
        }
        assert!(Tags::read(b"v=\xff").is_none());
        let many: String = (0..=MAX_TAGS).map(|n| format!("a{n}=;")).collect();
        assert!(Tags::read(many.as_bytes()).is_none());
    }
}
