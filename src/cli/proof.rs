//! What proves where a mail comes from, line by line, for `explain` and `quarantine show`.
//!
//! Guarantee: what is shown is what was found; only the key is shortened, and where to see all of
//! it is said beside it. What strangers wrote stays on one line. Left out on purpose: what to do
//! about it, which the sentences of the verdict say.

use std::fmt::{self, Write as _};

use crate::{
    authenticity::{Evidence, Proof},
    clock::taipei_minute,
    columns::pad,
    ledger::StoredEvidence,
    notice::Authenticity,
    stranger::one_line,
};

/// The width of a label, of which an ideograph takes two columns.
const LABEL: usize = 18;
/// So much of a key is shown, characters: enough to tell two apart, and one line.
const KEY: usize = 32;
/// So much of anything else.
const WORDS: usize = 1000;

/// The facts about one mail's origin; what is `None` is not shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts<'a> {
    result: &'a str,
    detail: Option<&'a str>,
    method: Option<&'a str>,
    domain: Option<&'a str>,
    selector: Option<&'a str>,
    algorithm: Option<&'a str>,
    key: Option<&'a str>,
    signed: Option<&'a str>,
    judged_at: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// What was found just now; `signed` as [`signed`] names it.
    pub(super) fn found(evidence: &'a Evidence, signed: Option<&'a str>) -> Self {
        let proof = evidence.proof.as_ref();
        Self {
            result: evidence.result(),
            // The rule that it breaks says why already.
            detail: None,
            method: proof.map(|proof| proof.method.as_str()),
            domain: proof.and_then(|proof| proof.domain.as_deref()),
            selector: proof.and_then(|proof| proof.selector.as_deref()),
            algorithm: proof.and_then(|proof| proof.algorithm.as_deref()),
            key: proof.and_then(|proof| proof.key.as_deref()),
            signed,
            judged_at: None,
        }
    }

    /// What the ledger keeps.
    pub(super) fn kept(evidence: &'a StoredEvidence) -> Self {
        Self {
            result: &evidence.result,
            detail: evidence.detail.as_deref(),
            method: evidence.method.as_deref(),
            domain: evidence.domain.as_deref(),
            selector: evidence.selector.as_deref(),
            algorithm: evidence.algorithm.as_deref(),
            key: evidence.key.as_deref(),
            signed: evidence.signed_fields.as_deref(),
            judged_at: Some(&evidence.judged_at),
        }
    }

    /// The facts, a line each. `whole` says where the key stands in full.
    pub(super) fn write(&self, text: &mut String, whole: &str) -> fmt::Result {
        let result = match self.result {
            "pass" => "pass 通過",
            "fail" => "fail 不算數",
            "none" => "none 沒有證明",
            "temperror" => "temperror 暫時無法查證",
            "not_required" => "not_required 設定不要求",
            other => other,
        };
        let key = self.key.map(|key| shortened(key, whole));
        let signed = self.signed.map(|names| names.replace(':', ", "));
        let judged_at = self.judged_at.map(|at| {
            let at = at.parse().map_or(at.to_owned(), taipei_minute);
            format!("{at} (UTC+8)")
        });
        for (label, value) in [
            ("結果 result", Some(result)),
            ("說明 detail", self.detail),
            ("方法 method", self.method),
            ("網域 domain", self.domain),
            ("selector", self.selector),
            ("演算法 algorithm", self.algorithm),
            ("簽章欄位 signed", signed.as_deref()),
            ("金鑰 key", key.as_deref()),
            ("時間 judged at", judged_at.as_deref()),
        ] {
            if let Some(value) = value {
                writeln!(text, "  {} {}", pad(label, LABEL), one_line(value, WORDS))?;
            }
        }
        Ok(())
    }
}

/// The fields under the signature, with colons between them as `h=` has them.
pub(super) fn signed(verdict: &Authenticity) -> Option<String> {
    match verdict {
        Authenticity::Proven { signed } => signed.as_ref().map(|names| names.join(":")),
        Authenticity::NotRequired | Authenticity::Unproven(_) | Authenticity::Unknown(_) => None,
    }
}

/// A proof in a few words: `dkim einvoice.nat.gov.tw, s2026, rsa-sha256`.
pub(super) fn in_short(proof: &Proof) -> String {
    let (method, names) = (proof.method.as_str(), proof.names());
    one_line(&format!("{method} {names}"), WORDS)
}

/// A key record without most of its key.
fn shortened(key: &str, whole: &str) -> String {
    let length = key.chars().count();
    if length <= KEY {
        return key.to_owned();
    }
    let beginning: String = key.chars().take(KEY).collect();
    format!("{beginning}… ({length} characters; {whole})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_is_shortened_and_its_length_and_place_are_said() {
        let record = format!("v=DKIM1; k=rsa; p={}", "A".repeat(392));
        let facts = Facts {
            result: "pass",
            method: Some("dkim"),
            key: Some(&record),
            signed: Some("from:to"),
            ..Facts::default()
        };
        let mut text = String::new();
        facts.write(&mut text, "over there").unwrap();
        assert!(text.contains(" pass 通過\n"), "{text}");
        assert!(text.contains(" from, to\n"), "{text}");
        assert!(
            text.contains(" v=DKIM1; k=rsa; p=AAAAAAAAAAAAAA… (410 characters; over there)\n"),
            "{text}"
        );
        assert!(!text.contains("selector"), "{text}");
    }

    #[test]
    fn what_a_stranger_wrote_stays_on_one_line() {
        let facts = Facts {
            result: "fail",
            domain: Some("a.example\n  結果 result       pass"),
            ..Facts::default()
        };
        let mut text = String::new();
        facts.write(&mut text, "").unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
