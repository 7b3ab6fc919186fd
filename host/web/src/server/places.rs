//! The places of a server's connections: a limit for all, and one for each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places that are taken.
#[derive(Debug, Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    /// How many there are.
    most: usize,
    /// How many one address may take.
    most_each: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// The place of one connection, until this is dropped.
#[derive(Debug)]
pub struct Place {
    of: Places,
    by: Option<IpAddr>,
}

impl Places {
    /// Creates the places, with the limits for all connections and for each address.
    pub fn new(most: usize, most_each: usize) -> Self {
        Self { taken: Arc::default(), most, most_each }
    }

    /// Returns whether there is a place for another connection.
    pub fn are_free(&self) -> bool {
        self.taken().all < self.most
    }

    /// Takes a place for a connection from this address; `None` if it has too many. Connections of a proxy are not
    /// counted by address, since many people may use it.
    pub fn take(&self, from: Option<IpAddr>) -> Option<Place> {
        let by = from.map(network);
        let mut taken = self.taken();
        if let Some(by) = by {
            let count = taken.by.entry(by).or_default();
            if *count >= self.most_each {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Place { of: self.clone(), by })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns who an address belongs to: with IPv6, a network of 64 bits is usually one customer's.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        if let Some(by) = self.by
            && let Some(count) = taken.by.get_mut(&by)
        {
            *count -= 1;
            if *count == 0 {
                taken.by.remove(&by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1_024;
    const MOST_EACH: usize = 64;

    #[test]
    fn no_address_takes_all_places_and_no_place_is_lost() {
        let places = Places::new(MOST, MOST_EACH);
        let address = |text: &str| Some(text.parse().unwrap());
        let own: Vec<_> = (0..MOST_EACH).map(|_| places.take(address("192.0.2.1")).unwrap()).collect();
        assert!(places.take(address("192.0.2.1")).is_none());
        let other = places.take(address("192.0.2.2")).unwrap();
        let net: Vec<_> = (0..MOST_EACH).map(|n| places.take(address(&format!("2001:db8::{n:x}"))).unwrap()).collect();
        assert!(places.take(address("2001:db8::ffff")).is_none() && places.take(address("2001:db8:0:1::1")).is_some());
        let proxied: Vec<_> = std::iter::from_fn(|| if places.are_free() { places.take(None) } else { None }).collect();
        assert_eq!(own.len() + 1 + net.len() + proxied.len(), MOST);
        drop((own, other, net, proxied));
        let taken = places.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
