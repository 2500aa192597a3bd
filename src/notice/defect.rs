//! What can be wrong with a notice, each with a stable code and one sentence for a person, in both
//! languages.
//!
//! The codes are a contract: scripts, the ledger and the documentation know them by name.

use std::{fmt, str::FromStr};

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every code there is, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable snake_case code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownCode;

            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|code| code.as_str() == text)
                    .ok_or_else(|| UnknownCode(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a mail waits for a person; one is enough to quarantine all of it.
    DefectCode {
        /// It reads like a notice, but From is not among `senders`.
        SenderNotAllowed => "sender_not_allowed",
        /// An allowed sender's notice whose subject does not say 配號結果.
        SubjectUnexpected => "subject_unexpected",
        /// Nothing proves that the platform sent it.
        NotAuthenticated => "not_authenticated",
        /// Two addresses in From, or two From, Subject or Sender fields.
        AmbiguousHeader => "ambiguous_header",
        /// The text cannot be decoded without replacement characters.
        UndecodableText => "undecodable_text",
        /// Larger than `max_message_bytes`; never downloaded in full.
        Oversized => "oversized",
        /// The server failed to hand this message over, again and again.
        Unfetchable => "unfetchable",
        /// A field is absent or empty.
        FieldMissing => "field_missing",
        /// A field cannot be read.
        FieldMalformed => "field_malformed",
        /// A field stands twice with different values.
        FieldConflict => "field_conflict",
        /// Not an odd month and the following even month of one year.
        PeriodNotAPair => "period_not_a_pair",
        /// Begin or end does not fall on a booklet's edge.
        RangeMisaligned => "range_misaligned",
        /// End before begin.
        RangeReversed => "range_reversed",
        /// The range is not requested + added booklets of 50.
        BookletsDisagree => "booklets_disagree",
        /// Eight digits that fail the checksum.
        BanInvalid => "ban_invalid",
        /// No company, or more than one, can be told from the mail.
        UnknownCompany => "unknown_company",
        /// Shares a number with another range without being identical to it.
        RangeOverlap => "range_overlap",
        /// The track belongs to another period of the same ROC year.
        TrackPeriodConflict => "track_period_conflict",
        /// Later than this company can be given numbers for.
        PeriodTooFar => "period_too_far",
        /// A bug of ours; the message is kept and the daemon lives.
        ReaderPanicked => "reader_panicked",
    }
}

impl DefectCode {
    /// Whether a person who releases a mail may overrule this. [`Self::UnknownCompany`] is not
    /// overruled at will: that person says whose the numbers are.
    pub fn is_overrulable(self) -> bool {
        matches!(
            self,
            Self::SenderNotAllowed
                | Self::SubjectUnexpected
                | Self::NotAuthenticated
                | Self::BookletsDisagree
                | Self::TrackPeriodConflict
                | Self::PeriodTooFar
        )
    }
}

codes! {
    /// What travels with an import and does not stop it.
    WarningCode {
        /// The period is over.
        PeriodPast => "period_past",
        /// The company is the mailbox's, for want of better.
        CompanyAssumed => "company_assumed",
        /// A Sender field unlike From.
        SenderDiffers => "sender_differs",
        /// An identical range is recorded with other booklet counts.
        CountsDiffer => "counts_differ",
    }
}

/// A text that is none of the codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a code that is known here")]
pub struct UnknownCode(pub String);

/// One sentence in both languages, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// English.
    pub en: String,
    /// 繁體中文
    pub zh: String,
}

impl Sentence {
    /// Both wordings next to each other, where the fact is found.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            zh: zh.into(),
        }
    }
}

/// A code with the sentence that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<Code> {
    /// The stable code.
    pub code: Code,
    /// What was expected and what was found.
    pub detail: Sentence,
}

/// Something that keeps a mail from being recorded.
pub type Defect = Finding<DefectCode>;

/// Something a person should know about an import.
pub type Warning = Finding<WarningCode>;

impl<Code> Finding<Code> {
    /// A finding.
    pub fn new(code: Code, detail: Sentence) -> Self {
        Self { code, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in DefectCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        for code in WarningCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert!("sender_not_alowed".parse::<DefectCode>().is_err());
    }
}
