//! How many connections may be open, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections.
pub(super) struct Admission {
    places: Arc<Semaphore>,
    per_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
    maximum_per_address: u32,
}

/// One open connection; its place is free again when this is dropped.
pub(super) struct Admitted {
    address: Option<IpAddr>,
    per_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(maximum: u32, maximum_per_address: u32) -> Self {
        let places = usize::try_from(maximum.max(1)).unwrap_or(usize::MAX);
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            per_address: Arc::default(),
            maximum_per_address,
        }
    }

    /// Waits for a place; those who come meanwhile wait in the system's queue.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// Admits a connection from an address, unless it has too many.
    pub(super) fn admit(
        &self,
        from: IpAddr,
        place: Option<OwnedSemaphorePermit>,
    ) -> Option<Admitted> {
        let mut address = None;
        if self.maximum_per_address > 0 {
            let network = network(from);
            let mut open = self.per_address.lock();
            let count = open.entry(network).or_default();
            if *count >= self.maximum_per_address {
                return None;
            }
            *count += 1;
            address = Some(network);
        }
        Some(Admitted { address, per_address: self.per_address.clone(), _place: place })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.per_address.lock();
        if let Some(count) = open.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_has_its_share_and_gets_it_back() {
        let admission = Admission::new(10, 2);
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let same_network: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let first = admission.admit(one, None).unwrap();
        let _second = admission.admit(same_network, None).unwrap();
        assert!(admission.admit(one, None).is_none());
        assert!(admission.admit(other, None).is_some());
        drop(first);
        assert!(admission.admit(one, None).is_some());
        assert_eq!(admission.per_address.lock().len(), 1);
    }
}
