//! A DNS server on loopback that answers for TXT what the test says, and counts what it is asked.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
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
    serving: Option<thread::JoinHandle<()>>,
}

impl Dns {
    /// Answers NXDOMAIN to everything.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let served = Arc::clone(&zone);
        let serving = thread::spawn(move || serve(&socket, &served));
        Self {
            address,
            zone,
            serving: Some(serving),
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
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap();
        }
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut bytes = [0; 4096];
    while !zone.lock().unwrap().over {
        let Ok((length, asker)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        let question = Message::from_vec(&bytes[..length]).unwrap();
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
            Some(Answer::Silence) => continue,
            Some(Answer::Code(code)) => response.metadata.response_code = code,
            None => response.metadata.response_code = ResponseCode::NXDomain,
            Some(Answer::Txt(records)) => {
                for record in records {
                    let pieces = record.as_bytes().chunks(255);
                    let pieces = pieces.map(|piece| String::from_utf8(piece.to_vec()).unwrap());
                    let txt = RData::TXT(TXT::new(pieces.collect()));
                    response.add_answer(Record::from_rdata(query.name().clone(), 300, txt));
                }
            }
        }
        socket.send_to(&response.to_vec().unwrap(), asker).unwrap();
    }
}
