//! Alignment: whether a domain may speak for the one in From (RFC 7489 §3.1.1, RFC 9989).
//!
//! Relaxed, as DMARC has it by default: both belong to one Organizational Domain, which is what
//! stands right below a public suffix. Left out on purpose: strict alignment, and the policy that
//! the domain's owner publishes; what is demanded here, the operator says.

/// Whether `a` and `b` belong to one organization. Lower case.
pub(super) fn is_aligned(a: &str, b: &str) -> bool {
    // What is itself a public suffix belongs to nobody, and stands for itself alone.
    a == b
        || psl::domain_str(a).is_some_and(|organization| Some(organization) == psl::domain_str(b))
}

#[cfg(test)]
mod tests {
    use super::is_aligned;

    #[test]
    fn one_organization_is_what_stands_below_a_public_suffix() {
        for (a, b, expected) in [
            ("einvoice.nat.gov.tw", "einvoice.nat.gov.tw", true),
            ("einvoice.nat.gov.tw", "invoice.nat.gov.tw", true),
            ("nat.gov.tw", "mail.einvoice.nat.gov.tw", true),
            ("einvoice.nat.gov.tw", "einvoice.moi.gov.tw", false),
            ("einvoice.nat.gov.tw", "gov.tw", false),
            ("gov.tw", "gov.tw", true),
            ("gov.tw", "nat.gov.tw", false),
            ("a.com.tw", "b.com.tw", false),
            ("a.example", "b.example", false),
            ("mail.a.example", "a.example", true),
            ("xnat.gov.tw", "nat.gov.tw", false),
            ("nat.gov.tw.example", "nat.gov.tw", false),
            ("tw", "gov.tw", false),
        ] {
            assert_eq!(is_aligned(a, b), expected, "{a} and {b}");
            assert_eq!(is_aligned(b, a), expected, "{b} and {a}");
        }
    }
}
