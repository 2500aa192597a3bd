//! What a notice grants: [`Block`] is one range as the mail states it, [`Allocation`] is that
//! range with the company it belongs to.
//!
//! Guarantee: both hold only values that passed every check that needs nothing but themselves.

use super::{Ban, Period, Range, Track};

/// 發票類別. MIG 4.0 `InvoiceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvoiceType {
    /// `07` 一般稅額計算
    General,
    /// `08` 特種稅額計算
    Special,
}

impl InvoiceType {
    /// MIG's two digits.
    pub fn code(self) -> &'static str {
        match self {
            Self::General => "07",
            Self::Special => "08",
        }
    }

    /// The name the platform writes in mails and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "一般稅額計算",
            Self::Special => "特種稅額計算",
        }
    }

    /// Reads MIG's two digits, or the platform file's single one.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "07" | "7" => Some(Self::General),
            "08" | "8" => Some(Self::Special),
            _ => None,
        }
    }
}

/// Which of the platform's files grants ranges; a notice by mail is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `invnoapply*.csv`
    Csv,
    /// MIG E0501 `InvoiceAssignNo`, by itself or in its envelope.
    E0501,
}

impl FileKind {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::E0501 => "e0501",
        }
    }
}

/// One allocated range as a notice states it, its company not yet settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// 發票類別
    pub invoice_type: InvoiceType,
    /// 發票期別
    pub period: Period,
    /// 字軌
    pub track: Track,
    /// 發票起號 … 發票迄號
    pub range: Range,
    /// 申請本數; `None` where the source does not state it.
    pub requested_booklets: Option<u32>,
    /// 增加本數; `None` where the source does not state it.
    pub added_booklets: Option<u32>,
}

/// One allocated range and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Allocation {
    /// 營業人統編
    pub ban: Ban,
    /// The range.
    pub block: Block,
}
