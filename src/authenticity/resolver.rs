//! DNS: the text of a DKIM key record (RFC 6376 §3.6.2).
//!
//! Guarantee: an answer by the moment that is named, and "there is none" only where a server said so;
//! everything else is trouble that may pass. After trouble the system's configuration is read
//! anew, for it may have been the fault.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use mail_auth::hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData},
    },
    system_conf::read_system_conf,
};

/// How long all questions about one mail may take; shorter than the 7 s that what is in hand has at
/// the end.
pub(super) const BOUND: Duration = Duration::from_secs(5);

/// How long one server may take before it is asked again.
const SERVER: Duration = Duration::from_secs(2);

/// How long one server may take before the next is asked too. hickory's own pool asks no other where
/// one answers REFUSED, and gives up on a truncated answer while another server is mute (0.26.3).
const HEAD_START: Duration = Duration::from_millis(800);

/// So many servers are asked, with time left for each; resolv.conf(5) has three.
const MAX_SERVERS: usize = 4;

/// Asks the servers that the operator names, or the system's.
#[derive(Debug)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    /// One for each server, with its cache; thrown away after trouble.
    current: Mutex<Vec<TokioResolver>>,
}

impl Resolver {
    /// Asks nobody yet.
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            current: Mutex::default(),
        }
    }

    /// The TXT records at `name`, each in one piece; none where the servers say that there are
    /// none.
    ///
    /// # Errors
    /// The servers' trouble, in a few words.
    pub(super) async fn txt(&self, name: &str, until: Instant) -> Result<Vec<Vec<u8>>, String> {
        // What is no name has no record.
        let Ok(mut name) = Name::from_str_relaxed(name) else {
            return Ok(Vec::new());
        };
        // Nothing is searched for below the host's own domain.
        name.set_fqdn(true);
        let asked = tokio::time::timeout_at(until, self.ask(name)).await;
        let answered = asked.unwrap_or_else(|_| Err(NO_ANSWER.to_owned()));
        if answered.is_err() {
            self.current().clear();
        }
        answered
    }

    /// Who is asked; what the system's configuration names, where the operator names nobody.
    ///
    /// # Errors
    /// The system's configuration cannot be read.
    pub(super) fn servers(&self) -> Result<Vec<SocketAddr>, String> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let (config, _) = read_system_conf().map_err(|error| error.to_string())?;
        let servers = config.name_servers().iter().filter_map(|server| {
            let port = server.connections.first()?.port;
            Some(SocketAddr::new(server.ip, port))
        });
        Ok(servers.collect())
    }

    /// The first server's word that is one.
    async fn ask(&self, name: Name) -> Result<Vec<Vec<u8>>, String> {
        let resolvers = self.resolvers()?;
        let mut asking: FuturesUnordered<_> = (0..)
            .zip(resolvers)
            .map(|(before, resolver)| {
                let name = name.clone();
                async move {
                    tokio::time::sleep(HEAD_START * before).await;
                    records(&resolver, name).await
                }
            })
            .collect();
        let mut trouble = None;
        while let Some(answered) = asking.next().await {
            match answered {
                Ok(records) => return Ok(records),
                Err(words) => _ = trouble.get_or_insert(words),
            }
        }
        Err(trouble.unwrap_or_else(|| NO_SERVER.to_owned()))
    }

    fn resolvers(&self) -> Result<Vec<TokioResolver>, String> {
        let known = self.current().clone();
        if !known.is_empty() {
            return Ok(known);
        }
        let (servers, mut options) = if self.servers.is_empty() {
            let (system, options) = read_system_conf().map_err(|_| NO_SERVER)?;
            (system.name_servers().to_vec(), options)
        } else {
            let servers = self.servers.iter().map(|server| {
                let mut named = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut named.connections {
                    connection.port = server.port();
                }
                named
            });
            (servers.collect(), ResolverOpts::default())
        };
        options.timeout = SERVER;
        options.attempts = 2;
        options.use_hosts_file = ResolveHosts::Never;
        let new = servers.into_iter().take(MAX_SERVERS).map(|server| {
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options.clone())
                .build()
                .map_err(|error| words(&error))
        });
        let new: Vec<TokioResolver> = new.collect::<Result<_, _>>()?;
        self.current().clone_from(&new);
        Ok(new)
    }

    fn current(&self) -> MutexGuard<'_, Vec<TokioResolver>> {
        // What is in there is whole, whoever panicked beside it.
        self.current
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

/// What one server says.
async fn records(resolver: &TokioResolver, name: Name) -> Result<Vec<Vec<u8>>, String> {
    match resolver.txt_lookup(name).await {
        Ok(lookup) => Ok(lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            })
            .collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(
                none.response_code,
                ResponseCode::NXDomain | ResponseCode::NoError
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(words(&error)),
    }
}

const NO_SERVER: &str = "no DNS server is known (expected one in /etc/resolv.conf)";

const NO_ANSWER: &str = "the DNS servers do not answer";

/// A resolver's trouble for a person to read.
fn words(error: &NetError) -> String {
    let code = match error {
        NetError::Timeout => return NO_ANSWER.to_owned(),
        NetError::Io(_) | NetError::NoConnections => {
            return "no DNS server can be reached".to_owned();
        }
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        _ => return "the DNS servers' answer cannot be understood".to_owned(),
    };
    match code {
        ResponseCode::ServFail => "the DNS servers answer SERVFAIL".to_owned(),
        ResponseCode::Refused => "the DNS servers answer REFUSED".to_owned(),
        other => format!("the DNS servers answer with code {}", u16::from(other)),
    }
}
