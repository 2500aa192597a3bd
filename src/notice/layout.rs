//! From text or HTML to labelled values.

/// A field of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// 字軌名稱
    Track,
    /// 發票期別
    Period,
    /// 發票類別
    Type,
    /// 申請本數
    Requested,
    /// 增加本數
    Added,
    /// 發票起號
    Begin,
    /// 發票迄號
    End,
}

impl Label {
    /// Every label, in the order of a notice.
    pub const ALL: &[Self] = &[
        Self::Track,
        Self::Period,
        Self::Type,
        Self::Requested,
        Self::Added,
        Self::Begin,
        Self::End,
    ];

    /// The platform's own spelling.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Track => "字軌名稱",
            Self::Period => "發票期別",
            Self::Type => "發票類別",
            Self::Requested => "申請本數",
            Self::Added => "增加本數",
            Self::Begin => "發票起號",
            Self::End => "發票迄號",
        }
    }

    /// The key under `[notice.labels]`, the same as the ledger's column.
    pub fn key(self) -> &'static str {
        match self {
            Self::Track => "invoice_track",
            Self::Period => "year_month",
            Self::Type => "invoice_type",
            Self::Requested => "requested_booklets",
            Self::Added => "added_booklets",
            Self::Begin => "invoice_begin_no",
            Self::End => "invoice_end_no",
        }
    }
}
