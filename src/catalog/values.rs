//! What the texts of a catalogue mean.

/// A price: a finite number, not below zero.
pub(super) fn price(text: &str) -> Option<f64> {
    text.trim().parse().ok().and_then(sound_price)
}

/// The price, if it can be one.
pub(super) fn sound_price(price: f64) -> Option<f64> {
    (price.is_finite() && price >= 0.0).then_some(price)
}

/// Whether a word says that the item may be sold; `None` when it is none of the known words.
pub(super) fn available(text: &str) -> Option<bool> {
    let word = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" | "in_stock" | "instock" | "available" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "out_of_stock" | "outofstock" | "unavailable" | "discontinued" => {
            Some(false)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_finite_and_not_negative() {
        assert_eq!(price(" 12.50 "), Some(12.5));
        assert_eq!(price("0"), Some(0.0));
        for bad in ["", "12,50", "NaN", "inf", "-1", "€ 3"] {
            assert_eq!(price(bad), None, "{bad}");
        }
    }

    #[test]
    fn words_for_available_are_understood_in_any_case() {
        for word in ["TRUE", "Yes", "1", "In Stock", "in-stock"] {
            assert_eq!(available(word), Some(true), "{word}");
        }
        for word in ["False", "n", "0", "out of stock", "Discontinued"] {
            assert_eq!(available(word), Some(false), "{word}");
        }
        assert_eq!(available("maybe"), None);
        assert_eq!(available(""), None);
    }
}
