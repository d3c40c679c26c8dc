//! A client that sees everything: every byte that is sent, the certificate that is shown, and how a connection ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use serde_json::Value;

/// Nothing takes so long on any machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether the connection ends with it.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// An error as section 7 wants it: JSON with a sentence and a place, and nothing about who says it.
    pub fn assert_error(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.head);
        let json = self.json();
        let members: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(members, ["at", "error"], "{json}");
        // The path of the whole body is empty.
        assert!(json["at"].is_string() && json["error"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        for word in ["server", "location", "x-powered-by"] {
            assert!(self.header(word).is_none(), "{}", self.head);
        }
        for word in ["panicked", "backtrace", ".rs:", "axum", "hyper", concat!("podgraft/", env!("CARGO_PKG_VERSION"))] {
            assert!(!self.text().contains(word) && !self.head.contains(word), "{self:?}");
        }
    }
}

/// Reads one answer. `UnexpectedEof` where there is none.
fn read_response(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Response> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other(head.clone()))?;
    if status == 100 {
        return read_response(stream, buffer);
    }
    let mut response = Response { status, head, body: Vec::new() };
    let length = response.header("content-length").map_or(0, |length| length.parse::<usize>().unwrap());
    assert!(response.header("transfer-encoding").is_none(), "answers have a length: {}", response.head);
    while buffer.len() < length {
        more(stream, buffer)?;
    }
    response.body = buffer.drain(..length).collect();
    Ok(response)
}

fn more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0_u8; 16 << 10];
    match stream.read(&mut chunk)? {
        0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed")),
        read => {
            buffer.extend_from_slice(&chunk[..read]);
            Ok(())
        }
    }
}

/// A request with a JSON body.
pub fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nHost: podgraft.podgraft.svc\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    text
}

/// Plain HTTP, one request a connection, for the admin port.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    plain(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Sends bytes over plain TCP, and reads one answer.
pub fn plain(address: SocketAddr, bytes: &[u8]) -> io::Result<Response> {
    let mut stream = tcp(address)?;
    stream.write_all(bytes)?;
    read_response(&mut stream, &mut Vec::new())
}

/// A TCP connection that waits with patience.
pub fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS connection.
pub struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects, handshake included, and takes any certificate.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Client::with(address, config(Arc::new(AnyCertificate), &[]))
    }

    /// The same, offering these protocols.
    pub fn offering(address: SocketAddr, protocols: &[&str]) -> io::Result<Client> {
        Client::with(address, config(Arc::new(AnyCertificate), protocols))
    }

    /// Connects as kube-apiserver does: the certificate must be signed by this one, and be that of the Service.
    pub fn trusting(address: SocketAddr, ca: &[u8]) -> io::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca.to_vec())).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        Client::with(address, config(verifier, &["http/1.1"]))
    }

    fn with(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Client> {
        Client::over(tcp(address)?, config)
    }

    fn over(mut socket: TcpStream, config: Arc<ClientConfig>) -> io::Result<Client> {
        let name = ServerName::try_from("podgraft.podgraft.svc").unwrap();
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Client { stream: StreamOwned::new(connection, socket), buffer: Vec::new() })
    }

    /// A handshake on a connection that is there already.
    pub fn handshake(socket: TcpStream) -> io::Result<Client> {
        Client::over(socket, config(Arc::new(AnyCertificate), &[]))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next answer.
    pub fn response(&mut self) -> io::Result<Response> {
        read_response(&mut self.stream, &mut self.buffer)
    }

    /// Sends a review to a path and reads the answer.
    pub fn post(&mut self, path: &str, body: &str) -> io::Result<Response> {
        self.send(&request(path, body.as_bytes()))?;
        self.response()
    }

    /// Sends a review.
    pub fn review(&mut self, body: &str) -> Response {
        self.post("/mutate?timeout=10s", body).unwrap()
    }

    /// Waits until the other side closes. `true`: with all that TLS asks for.
    pub fn closed(&mut self) -> bool {
        let mut rest = [0_u8; 1024];
        match self.stream.read(&mut rest) {
            Ok(0) => true,
            Ok(read) => panic!("more came: {:?}", String::from_utf8_lossy(&rest[..read])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("it was not closed"),
            Err(_) => false,
        }
    }

    /// Whether it is open for so long.
    pub fn open_for(&mut self, time: Duration) -> bool {
        self.stream.sock.set_read_timeout(Some(time)).unwrap();
        let read = self.stream.read(&mut [0_u8; 1]);
        self.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(read, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// The certificate that was shown, DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> Option<String> {
        self.stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap())
    }

    /// Raw bytes, as many as asked for.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(bytes)
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

fn config(verifier: Arc<dyn ServerCertVerifier>, protocols: &[&str]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// What `curl -k` does; signatures are still checked, so the key must be the certificate's.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Counts what threads have to say.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    pub fn add(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    pub fn assert_none(&self) {
        let failures = self.0.lock().unwrap();
        assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), failures.iter().take(5).collect::<Vec<_>>());
    }
}
