//! ROUTENO: each distinct route of a pair of nodes has one number.
//!
//! A route is the addresses that answered at each hop up to the last that did. A silent hop says
//! nothing: routers limit how much they answer, and a route must not get a new number each time one of
//! them was busy. So a route with silent hops is the known one that agrees with it wherever both
//! answered, the one seen last if there are several; only if there is none it is new.

use std::net::IpAddr;

/// The route as the table holds it: hops joined by blanks, several addresses of one hop by commas, a
/// silent hop is `*`.
#[must_use]
pub fn text(route: &[Vec<IpAddr>]) -> String {
    let hops = route.iter().map(|addresses| {
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        if addresses.is_empty() { "*".to_owned() } else { addresses.join(",") }
    });
    hops.collect::<Vec<_>>().join(" ")
}

/// The number, among `known`, that `route` has; `known` begins with the route that was seen last.
#[must_use]
pub fn number(route: &str, known: &[(i64, String)]) -> Option<i64> {
    let same = known.iter().find(|(_, other)| other == route);
    let same = same.or_else(|| known.iter().find(|(_, other)| agree(route, other)));
    same.map(|(number, _)| *number)
}

fn agree(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split(' '), other.split(' '));
    let mut silent = false;
    loop {
        match (one.next(), other.next()) {
            (None, None) => return silent,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => silent = true,
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(routes: &[&str]) -> Vec<(i64, String)> {
        (1..).zip(routes).map(|(number, route)| (number, (*route).to_owned())).collect()
    }

    #[test]
    fn a_route_is_written_hop_by_hop() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let route = [
            vec![address("192.0.2.1")],
            vec![],
            vec![address("2001:db8::1"), address("2001:db8::2")],
        ];
        assert_eq!(text(&route), "192.0.2.1 * 2001:db8::1,2001:db8::2");
    }

    #[test]
    fn the_same_route_has_the_same_number_and_another_a_new_one() {
        let known = known(&["a b c", "a x c"]);
        assert_eq!(number("a x c", &known), Some(2));
        assert_eq!(number("a y c", &known), None);
        assert_eq!(number("a b", &known), None);
        assert_eq!(number("a b c d", &known), None);
    }

    #[test]
    fn a_silent_hop_is_no_difference() {
        let known = known(&["a b c", "a * d", "a x c"]);
        assert_eq!(number("a * c", &known), Some(1));
        assert_eq!(number("a z d", &known), Some(2));
        assert_eq!(number("* b c", &known), Some(1));
        assert_eq!(number("a * e", &known), None);
    }
}
