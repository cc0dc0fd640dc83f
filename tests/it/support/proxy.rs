//! A TCP proxy that listens in, and cuts connections on demand.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Where a connection is cut when a statement passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never gets it.
    Before,
    /// The server gets it, and its answer is lost.
    After,
}

/// A proxy to one server, until the process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What to cut at; taken by the first connection that sends it.
    armed: Mutex<Option<(Vec<u8>, Cut)>>,
    /// Everything that clients sent.
    sent: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let sharing = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server_port)).unwrap());
                let shared = Arc::clone(&sharing);
                std::thread::spawn(move || serve(client, server, &shared));
            }
        });
        Self { port, shared }
    }

    /// Cuts the next connection that sends `pattern`.
    pub(crate) fn arm(&self, pattern: &[u8], cut: Cut) {
        *self.shared.armed.lock().unwrap() = Some((pattern.to_vec(), cut));
    }

    /// Whether the cut is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.shared.armed.lock().unwrap().is_some()
    }

    /// What clients have sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<u8> {
        std::mem::take(&mut self.shared.sent.lock().unwrap())
    }
}

fn serve(client: TcpStream, server: TcpStream, shared: &Shared) {
    let cut_answer = Arc::new(Mutex::new(false));
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let cutting = Arc::clone(&cut_answer);
    let answers = std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(n @ 1..) = from_server.read(&mut bytes) {
            // The answer has come: the server has done what it was told, and the client will never know.
            if *cutting.lock().unwrap() || to_client.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (client, server);
    let mut bytes = [0; 65_536];
    while let Ok(n @ 1..) = from_client.read(&mut bytes) {
        shared.sent.lock().unwrap().extend_from_slice(&bytes[..n]);
        let mut armed = shared.armed.lock().unwrap();
        let matches =
            armed.as_ref().is_some_and(|(pattern, _)| bytes[..n].windows(pattern.len()).any(|at| at == *pattern));
        let cut = if matches { armed.take().map(|(_, cut)| cut) } else { None };
        drop(armed);
        if cut == Some(Cut::Before) {
            break;
        }
        *cut_answer.lock().unwrap() |= cut == Some(Cut::After);
        if to_server.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    // After a lost answer the client closes; the server's side must not be cut before it has answered.
    if !*cut_answer.lock().unwrap() {
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = from_client.shutdown(Shutdown::Both);
    }
    let _ = answers.join();
}
