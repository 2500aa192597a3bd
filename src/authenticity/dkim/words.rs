//! What is said about a signature that does not count: what was found, and what a person can do.
//!
//! Guarantee: what stands in a mail or in a stranger's DNS is quoted as everything foreign is,
//! short and without control characters.

use crate::notice::{Address, Sentence, shown};

pub(super) fn no_signature() -> Sentence {
    Sentence::new(
        "there is no DKIM signature; see what mail of this sender carries with \
         `invoice-trackd check --online`",
        "這封信沒有 DKIM 簽章；請用 `invoice-trackd check --online` 查看此寄件人的信帶有什麼證明",
    )
}

pub(super) fn two_readings() -> Sentence {
    Sentence::new(
        "the mail can be read in two ways (a line of its header is no field, or it holds a lone \
         carriage return or a control character), so it does not show for certain what was signed",
        "這封信有兩種讀法（標頭裡有一行不是欄位，或有單獨的歸位字元、控制字元），\
         顯示的內容未必就是簽章時的內容",
    )
}

pub(super) fn too_many_fields(most: usize) -> Sentence {
    Sentence::new(
        format!("the header has more than {most} fields; its signatures were not looked into"),
        format!("標頭超過 {most} 個欄位，簽章沒有檢查"),
    )
}

pub(super) fn second_field(name: &str) -> Sentence {
    let name = shown(name);
    Sentence::new(
        format!(
            "a field {name} stands in the header that the signature does not cover, beside one \
             that it may: somebody can have added it to show another text"
        ),
        format!("標頭裡有簽章沒有涵蓋的另一個 {name} 欄位，可能是有人加上去改變顯示的內容"),
    )
}

pub(super) fn unreadable(what: &str) -> Sentence {
    Sentence::new(
        format!("the DKIM-Signature field is not as RFC 6376 §3.5 has it: {what}"),
        format!("DKIM-Signature 欄位不符合 RFC 6376 §3.5：{what}"),
    )
}

pub(super) fn algorithm(found: &str) -> Sentence {
    let found = shown(found);
    Sentence::new(
        format!("the signature is made with {found}; only rsa-sha256 and ed25519-sha256 count"),
        format!("簽章使用 {found}，只接受 rsa-sha256 與 ed25519-sha256"),
    )
}

pub(super) fn part_of_body() -> Sentence {
    Sentence::new(
        "the signature covers only a part of the body (`l=`), so that anybody can add to it",
        "簽章只涵蓋部分內文（`l=`），任何人都能再添加內容",
    )
}

pub(super) fn body_changed(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!(
            "the body was changed after {domain} had signed it; a mailing list or a server that \
             adds a footer does that too: have the notice delivered directly"
        ),
        format!(
            "{domain} 簽章之後，內文被改過；郵件群組或會加註頁尾的伺服器也會這樣，請讓通知直接寄到此信箱"
        ),
    )
}

pub(super) fn expired(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!("the signature of {domain} has expired (`x=`)"),
        format!("{domain} 的簽章已過期（`x=`）"),
    )
}

pub(super) fn header_changed(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!(
            "a signed header field or the signature of {domain} was changed after signing, or the \
             key in DNS is not the one it was made with"
        ),
        format!(
            "{domain} 簽章之後，有簽章的標頭欄位或簽章本身被改過，或 DNS 上的金鑰不是簽章所用的"
        ),
    )
}

pub(super) fn identity(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!(
            "the signature names an identity (`i=`) for which the key of {domain} must not sign"
        ),
        format!("簽章的身分（`i=`）不是 {domain} 的金鑰可以簽署的"),
    )
}

pub(super) fn no_key(name: &str) -> Sentence {
    let name = shown(name);
    Sentence::new(
        format!(
            "the key {name} is not in DNS: the signer has withdrawn it, or never had it; compare \
             with the platform"
        ),
        format!("DNS 裡沒有金鑰 {name}：簽署者已撤下，或從來沒有；請到平台核對"),
    )
}

pub(super) fn revoked(name: &str) -> Sentence {
    let name = shown(name);
    Sentence::new(
        format!("the key {name} is revoked (`p=` is empty)"),
        format!("金鑰 {name} 已撤銷（`p=` 是空的）"),
    )
}

pub(super) fn unusable_key(name: &str, what: &str) -> Sentence {
    let name = shown(name);
    Sentence::new(
        format!("the key record at {name} cannot be used: {what}"),
        format!("{name} 的金鑰記錄無法使用：{what}"),
    )
}

pub(super) fn not_covered(domain: &str, field: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!(
            "the signature of {domain} does not cover {field}, or not each {field} there is, so \
             that anybody can change it"
        ),
        format!("{domain} 的簽章沒有涵蓋 {field}，或沒有涵蓋每一個 {field} 欄位，任何人都能更改"),
    )
}

pub(super) fn not_aligned(domain: &str, from: Option<&Address>) -> Sentence {
    let domain = shown(domain);
    match from {
        Some(from) => {
            let from = shown(from.domain());
            Sentence::new(
                format!("signed by {domain}, which does not speak for {from}, the domain in From"),
                format!("由 {domain} 簽章，但它不能代表寄件人的網域 {from}"),
            )
        }
        None => Sentence::new(
            format!(
                "signed by {domain}, but From holds not exactly one address to compare it with"
            ),
            format!("由 {domain} 簽章，但寄件人欄位不是剛好一個地址，無從比對"),
        ),
    }
}

/// Of a domain that is aligned with From.
pub(super) fn not_listed(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!(
            "signed by {domain} and intact, but {domain} is not on `domains`: add it there if it \
             is the Ministry's"
        ),
        format!(
            "由 {domain} 簽章且內容完整，但 `domains` 沒有 {domain}；若確為財政部的網域，請加進去"
        ),
    )
}

pub(super) fn foreign(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!("signed only by {domain}, which is neither on `domains` nor the domain in From"),
        format!("只有 {domain} 的簽章，它不在 `domains` 裡，也不是寄件人的網域"),
    )
}

/// Of a domain that is aligned with From and not listed, where the signature does not hold either.
pub(super) fn not_listed_either(domain: &str) -> Sentence {
    let domain = shown(domain);
    Sentence::new(
        format!("signed by {domain}, which is not on `domains`, and the signature does not hold"),
        format!("由 {domain} 簽章，但 `domains` 沒有它，簽章也不成立"),
    )
}
