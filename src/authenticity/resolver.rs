//! DNS: the text of a DKIM key record (RFC 6376 §3.6.2).
//!
//! Guarantee: an answer within [`BOUND`], and "there is none" only where a server said so;
//! everything else is trouble that may pass. After trouble the system's configuration is read
//! anew, for it may have been the fault.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

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

/// How long one question may take; shorter than the 7 s that what is in hand has at the end.
pub(super) const BOUND: Duration = Duration::from_secs(5);

/// How long one server may take before it is asked again, or another is.
const SERVER: Duration = Duration::from_secs(2);

/// Asks the servers that the operator names, or the system's.
#[derive(Debug)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    /// With its cache; thrown away after trouble.
    current: Mutex<Option<TokioResolver>>,
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
    pub(super) async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, String> {
        // What is no name has no record.
        let Ok(name) = Name::from_str_relaxed(name) else {
            return Ok(Vec::new());
        };
        let asked = tokio::time::timeout(BOUND, self.ask(name)).await;
        let answered =
            asked.unwrap_or_else(|_| Err(format!("no answer within {} s", BOUND.as_secs())));
        if answered.is_err() {
            self.replace(None);
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

    async fn ask(&self, name: Name) -> Result<Vec<Vec<u8>>, String> {
        let resolver = self.resolver().map_err(|error| error.to_string())?;
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
            Err(error) => Err(error.to_string()),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        if let Some(resolver) = self.replace_with(|current| current.clone()) {
            return Ok(resolver);
        }
        let (config, mut options) = if self.servers.is_empty() {
            read_system_conf()?
        } else {
            let servers = self.servers.iter().map(|server| {
                let mut named = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut named.connections {
                    connection.port = server.port();
                }
                named
            });
            (
                ResolverConfig::from_name_servers(servers.collect()),
                ResolverOpts::default(),
            )
        };
        options.timeout = SERVER;
        options.attempts = 2;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()?;
        self.replace(Some(resolver.clone()));
        Ok(resolver)
    }

    fn replace(&self, new: Option<TokioResolver>) {
        self.replace_with(|current| *current = new);
    }

    fn replace_with<T>(&self, change: impl FnOnce(&mut Option<TokioResolver>) -> T) -> T {
        // What is in there is whole, whoever panicked beside it.
        let mut current = self
            .current
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        change(&mut current)
    }
}
