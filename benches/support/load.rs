//! A client that costs little: requests are made once, answers are counted, not read.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long to wait for more of an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of a load.
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// How many answers.
    pub answers: usize,
    /// Time from request to answer, sorted.
    pub times: Vec<Duration>,
}

impl Load {
    /// The time within which this part of the answers came.
    pub fn percentile(&self, part: f64) -> f64 {
        let index = ((self.times.len() as f64 * part) as usize).min(self.times.len().saturating_sub(1));
        self.times[index].as_secs_f64()
    }
}

/// A request with this body, as bytes.
pub fn request(body: &str) -> Arc<[u8]> {
    let length = body.len();
    let head = format!(
        "POST /mutate?timeout=10s HTTP/1.1\r\nhost: podgraft.podgraft.svc:443\r\nuser-agent: kube-apiserver-admission\r\ncontent-length: {length}\r\naccept: application/json, */*\r\ncontent-type: application/json\r\naccept-encoding: gzip\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat().into()
}

/// Connects so often, then sends a request after the other on every connection for so long.
pub async fn run(port: u16, request: &Arc<[u8]>, connections: usize, long: Duration) -> io::Result<Load> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(port).await?;
        connection.ask(request).await?;
        open.push(connection);
    }
    let start = Instant::now();
    let tasks: Vec<_> = open
        .into_iter()
        .map(|mut connection| {
            let request = Arc::clone(request);
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(1 << 14);
                while start.elapsed() < long {
                    let asked = Instant::now();
                    connection.ask(&request).await?;
                    times.push(asked.elapsed());
                }
                Ok::<_, io::Error>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.map_err(io::Error::other)??);
    }
    let took = start.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok(Load { rate: times.len() as f64 / took, answers: times.len(), times })
}

/// A connection that is kept.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects over TLS; any certificate will do.
    pub async fn open(port: u16) -> io::Result<Connection> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        Ok(Connection { stream, buffer: vec![0; 64 << 10] })
    }

    /// Sends a request and takes its answer, which must be a 200.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        loop {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut self.buffer[filled..])).await??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some(whole) = whole(&self.buffer[..filled])?
                && filled >= whole
            {
                return Ok(());
            }
        }
    }
}

/// The length of head and body, once the head is there.
fn whole(answer: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(io::Error::other(String::from_utf8_lossy(answer).into_owned()));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|length| length.trim().parse::<usize>().ok());
    Ok(length.map(|length| head + 4 + length))
}

/// Takes any certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ED25519]
    }
}
