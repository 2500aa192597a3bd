//! The demo's own DNS: one UDP socket on loopback that knows one record, the key with which the
//! demo's notices are signed.
//!
//! Guarantee: nothing beyond loopback is asked or answered. Left out on purpose: everything of DNS
//! but the answer to one question (RFC 1035 §4).

use std::{convert::Infallible, io, net::SocketAddr};

use tokio::net::UdpSocket;

/// Where the key stands: `s=` and `d=` of the signatures in `genuine.eml` and `duplicate.eml`.
const NAME: &str = "demo2018._domainkey.invoice.nat.gov.tw";
/// The public half of a key that signed those two mails and was thrown away.
const RECORD: &str = concat!(
    "v=DKIM1; k=rsa; p=",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwajb+ygCZOY4achZu2sA47d0Cq9NmTq0",
    "xhCo9ea0czYI4vm19RiN8FEgjIW9bipJDwnITjhTTB+0drp6AiULIBD/MTlBiVUPqScgqpDjBDCM",
    "JveYK8CFMPU5id9goytwdiR2xVsqyt5MgncTcejvQegx9luyIYcdyQziqSGJFkqZ9Wohu1ElK3D5",
    "10ZvFcwzLnImQWyqucRd2gNTUh9Ex72sXXCyoqFqDBohhv9d1+8q9nQ2wHAcEHXFHLGK60QBI6ur",
    "Rh7o/bGHc7TptyQz5BdoFLadbRkhnf7sbYhDWz7HE8C94RfhKwtQ+gIdI4wACOMRR7QcAaEbYm6s",
    "Tph/YwIDAQAB",
);

/// What a DNS message begins with, bytes. RFC 1035 §4.1.1.
const HEADER: usize = 12;
/// QTYPE and QCLASS: TXT, IN.
const TXT_IN: [u8; 4] = [0, 16, 0, 1];

/// The server; it answers as long as [`Dns::serve`] is polled.
#[derive(Debug)]
pub(super) struct Dns {
    socket: UdpSocket,
}

impl Dns {
    /// Takes a free port on loopback.
    pub(super) async fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        Ok(Self { socket })
    }

    /// Where to ask.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(&self) -> io::Result<Infallible> {
        let mut bytes = [0; 512];
        loop {
            let (length, asker) = self.socket.recv_from(&mut bytes).await?;
            if let Some(answer) = bytes.get(..length).and_then(answer) {
                self.socket.send_to(&answer, asker).await?;
            }
        }
    }
}

/// The response to a query; `None` to what is none.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER)?;
    let name_length = rest.iter().position(|byte| *byte == 0)? + 1;
    let (question, _) = rest.split_at_checked(name_length + TXT_IN.len())?;
    let (name, kind) = question.split_at_checked(name_length)?;
    let is_known = name.eq_ignore_ascii_case(&labels(NAME)) && kind == TXT_IN;

    let mut response = header.get(..2)?.to_vec();
    // QR, RD and RA; NXDOMAIN where it is not the key that is asked for. One question.
    response.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1]);
    response.extend([0, u8::from(is_known), 0, 0, 0, 0]);
    response.extend(question);
    if is_known {
        let strings: Vec<u8> = RECORD.as_bytes().chunks(255).flat_map(string).collect();
        // RFC 1035 §4.1.4: a pointer to the name in the question.
        response.extend([0xc0, 0x0c]);
        response.extend(TXT_IN);
        response.extend(300_u32.to_be_bytes());
        response.extend(u16::try_from(strings.len()).ok()?.to_be_bytes());
        response.extend(strings);
    }
    Some(response)
}

/// A name as it goes over the wire. RFC 1035 §3.1.
fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').map(str::as_bytes).flat_map(string);
    labels.chain([0]).collect()
}

/// A length and as many bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[length], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let header = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], &labels(name), &TXT_IN].concat()
    }

    #[test]
    fn the_key_is_known_in_any_case_and_nothing_else_is() {
        let known = answer(&query(&NAME.to_uppercase())).unwrap();
        assert_eq!(known[..8], [7, 9, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(known.len() < 512 && known.ends_with(b"QAB"));
        let other = answer(&query("www.invoice.nat.gov.tw")).unwrap();
        assert_eq!(other[..8], [7, 9, 0x81, 0x83, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_cut_off_is_not_answered() {
        let whole = query(NAME);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length}");
        }
    }
}
