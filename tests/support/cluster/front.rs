//! What a Service is to the API server: connections go to whoever is its endpoint when they are made. And a network that can be slow.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// It ends with the value.
pub struct Front {
    pub address: SocketAddr,
    behind: Arc<Mutex<Vec<SocketAddr>>>,
    /// In milliseconds.
    delay: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Front {
    pub fn of(behind: SocketAddr) -> Front {
        Front::at("127.0.0.1:0".parse().unwrap(), vec![behind])
    }

    /// At an address of one's choice, a Service's say, in front of several who take turns.
    pub fn at(address: SocketAddr, behind: Vec<SocketAddr>) -> Front {
        let behind = Arc::new(Mutex::new(behind));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let delay = Arc::default();
        let (target, late) = (Arc::clone(&behind), Arc::clone(&delay));
        let turn = AtomicUsize::new(0);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let target = {
                    let all = target.lock().unwrap();
                    all[turn.fetch_add(1, Ordering::Relaxed) % all.len()]
                };
                tokio::spawn(carry(stream, target, Arc::clone(&late)));
            }
        });
        Front { address, behind, delay, _runtime: runtime }
    }

    /// New connections go there.
    pub fn goes_to(&self, behind: SocketAddr) {
        *self.behind.lock().unwrap() = vec![behind];
    }

    /// New connections go there no more.
    pub fn leave_out(&self, gone: SocketAddr) {
        self.behind.lock().unwrap().retain(|one| *one != gone);
    }

    /// Whatever comes back comes so much later.
    pub fn late_by(&self, delay: Duration) {
        self.delay.store(delay.as_millis() as u64, Ordering::Relaxed);
    }
}

/// Until either end closes; the other learns of it.
async fn carry(stream: TcpStream, target: SocketAddr, late: Arc<AtomicU64>) {
    let Ok(there) = TcpStream::connect(target).await else { return };
    let ((mut from_here, mut to_here), (mut from_there, mut to_there)) = (stream.into_split(), there.into_split());
    let forth = async {
        let _ = tokio::io::copy(&mut from_here, &mut to_there).await;
        let _ = to_there.shutdown().await;
    };
    let back = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_there.read(&mut buffer).await {
            tokio::time::sleep(Duration::from_millis(late.load(Ordering::Relaxed))).await;
            if to_here.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_here.shutdown().await;
    };
    tokio::join!(forth, back);
}
