//! A DNS server on loopback that answers for TXT what the test says, and counts what it is asked,
//! over UDP and, on the same port, over TCP.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use mail_auth::hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, Record, rdata::TXT},
};

/// What is answered about one name.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These TXT records; each is cut into strings of 255 bytes.
    Txt(Vec<String>),
    /// These TXT records over TCP; over UDP, that the answer is too long for it.
    OnlyTcp(Vec<String>),
    /// A response without an answer.
    Code(ResponseCode),
    /// Nothing at all.
    Silence,
}

#[derive(Debug, Default)]
struct Zone {
    answers: HashMap<String, Answer>,
    otherwise: Option<Answer>,
    asked: Vec<String>,
    over: bool,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    serving: Vec<thread::JoinHandle<()>>,
}

impl Dns {
    /// Answers NXDOMAIN to everything.
    pub fn start() -> Self {
        let (socket, listener) = sockets();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let serving = vec![
            thread::spawn({
                let zone = Arc::clone(&zone);
                move || serve(&socket, &zone)
            }),
            thread::spawn({
                let zone = Arc::clone(&zone);
                move || serve_tcp(&listener, &zone)
            }),
        ];
        Self {
            address,
            zone,
            serving,
        }
    }

    /// A server that knows one key record.
    pub fn with(name: &str, record: &str) -> Self {
        let dns = Self::start();
        dns.answer(name, Answer::Txt(vec![record.to_owned()]));
        dns
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is answered about `name` from now on.
    pub fn answer(&self, name: &str, answer: Answer) {
        let name = plain(name);
        self.zone.lock().unwrap().answers.insert(name, answer);
    }

    /// What is answered about every name from now on, whatever was said before; `None`: what was
    /// said of each.
    pub fn override_all(&self, answer: Option<Answer>) {
        self.zone.lock().unwrap().otherwise = answer;
    }

    /// The names that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.zone.lock().unwrap().asked.clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.zone.lock().unwrap().over = true;
        for serving in self.serving.drain(..) {
            serving.join().unwrap();
        }
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// One port for both.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut bytes = [0; 4096];
    while !zone.lock().unwrap().over {
        let Ok((length, asker)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        if let Some(response) = response(&bytes[..length], zone, false) {
            socket.send_to(&response, asker).unwrap();
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Mutex<Zone>) {
    while !zone.lock().unwrap().over {
        match listener.accept() {
            // Who breaks off has gone away; nobody waits for the answer.
            Ok((mut stream, _)) => _ = converse(&mut stream, zone),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Answers over one connection until it ends. RFC 1035 §4.2.2: a length before each message.
fn converse(stream: &mut TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        if let Some(response) = response(&question, zone, true) {
            let length = u16::try_from(response.len()).unwrap();
            stream.write_all(&length.to_be_bytes())?;
            stream.write_all(&response)?;
        }
    }
}

fn response(question: &[u8], zone: &Mutex<Zone>, over_tcp: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let name = plain(&query.name().to_ascii());
    let answer = {
        let mut zone = zone.lock().unwrap();
        zone.asked.push(name.clone());
        let said = zone.answers.get(&name).cloned();
        zone.otherwise.clone().or(said)
    };
    let mut response = Message::response(question.metadata.id, OpCode::Query);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    match answer {
        Some(Answer::Silence) => return None,
        Some(Answer::Code(code)) => response.metadata.response_code = code,
        None => response.metadata.response_code = ResponseCode::NXDomain,
        Some(Answer::OnlyTcp(_)) if !over_tcp => response.metadata.truncation = true,
        Some(Answer::Txt(records) | Answer::OnlyTcp(records)) => {
            for record in records {
                let pieces = record.as_bytes().chunks(255);
                let pieces = pieces.map(|piece| String::from_utf8(piece.to_vec()).unwrap());
                let txt = RData::TXT(TXT::new(pieces.collect()));
                response.add_answer(Record::from_rdata(query.name().clone(), 300, txt));
            }
        }
    }
    Some(response.to_vec().unwrap())
}
