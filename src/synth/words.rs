//! The words that names are made of. All brands and people are invented.

/// A line of goods: what its titles are made of.
#[derive(Debug)]
pub(crate) struct Line {
    /// Name of the category.
    pub name: &'static str,
    /// Typical price in the shop's currency.
    pub price: f64,
    /// Whether shoppers use it up and buy it again.
    pub consumable: bool,
    /// What stands before the noun.
    pub qualifiers: [&'static str; 8],
    /// What is sold.
    pub nouns: [&'static str; 8],
    /// What stands after the comma.
    pub variants: &'static [&'static str],
}

const COLOURS: &[&str] = &[
    "Moss Green",
    "Slate",
    "Off White",
    "Rust",
    "Midnight Blue",
    "Sand",
    "Charcoal",
    "Plum",
    "Ochre",
    "Sea Foam",
    "Brick",
    "Black",
];
const SIZES: &[&str] = &["100 g", "250 g", "400 g", "500 g", "750 g", "1 kg"];
const VOLUMES: &[&str] = &["50 ml", "100 ml", "200 ml", "250 ml", "300 ml", "500 ml"];
const SMALL_VOLUMES: &[&str] = &["10 ml", "15 ml", "30 ml", "50 ml", "75 ml", "100 ml"];
const PIECES: &[&str] = &["Set of 2", "Set of 3", "Set of 4", "Set of 6", "Single", "Pair"];

macro_rules! line {
    ($name:literal, $price:literal, $consumable:literal, $variants:expr, $qualifiers:expr, $nouns:expr) => {
        Line {
            name: $name,
            price: $price,
            consumable: $consumable,
            qualifiers: $qualifiers,
            nouns: $nouns,
            variants: $variants,
        }
    };
}

/// The lines of goods, in the order in which a shop takes them up.
#[rustfmt::skip]
pub(crate) const LINES: [Line; 40] = [
    line!("Hiking", 48.0, false, COLOURS,
        ["Merino", "Trail", "Lightweight", "Waterproof", "Insulated", "Ridge", "Alpine", "Packable"],
        ["Hiking Socks", "Rain Jacket", "Trekking Trousers", "Daypack", "Base Layer", "Fleece", "Gaiters", "Sun Hat"]),
    line!("Coffee", 14.0, true, SIZES,
        ["Dark Roast", "Light Roast", "Single Origin", "Organic", "Decaf", "Breakfast", "Highland", "Washed"],
        ["Espresso Beans", "Filter Coffee", "Whole Beans", "Ground Coffee", "Cold Brew Blend", "House Blend",
         "Moka Grind", "Coffee Capsules"]),
    line!("Skin Care", 22.0, true, SMALL_VOLUMES,
        ["Calming", "Oat", "Hyaluronic", "Unscented", "Sea Buckthorn", "Rich", "Daily", "Night"],
        ["Face Cream", "Cleanser", "Serum", "Hand Balm", "Eye Cream", "Toner", "Body Lotion", "Lip Balm"]),
    line!("Kitchen", 36.0, false, COLOURS,
        ["Cast Iron", "Enamelled", "Stainless Steel", "Stoneware", "Copper Base", "Carbon Steel", "Olive Wood", "Glass"],
        ["Frying Pan", "Casserole", "Saucepan", "Mixing Bowl", "Chopping Board", "Pepper Mill", "Kettle",
         "Baking Tray"]),
    line!("Children's Books", 13.0, false, &["Hardback", "Paperback", "Board Book", "Gift Edition", "Large Print"],
        ["The Little", "The Brave", "The Sleepy", "The Curious", "The Last", "The Secret", "The Flying", "The Wandering"],
        ["Fox", "Lighthouse", "Submarine", "Gardener", "Owl", "Train to Nowhere", "Cloud Factory", "Bear in Winter"]),
    line!("Running", 64.0, false, COLOURS,
        ["Cushioned", "Breathable", "Reflective", "Seamless", "Racing", "Winter", "Tempo", "Recycled"],
        ["Running Shoes", "Running Tights", "Race Singlet", "Windbreaker", "Running Cap", "Hydration Vest",
         "Compression Socks", "Half-Zip Top"]),
    line!("Tea", 9.0, true, SIZES,
        ["Smoked", "Jasmine", "First Flush", "Organic", "Spiced", "Ceremonial", "Loose Leaf", "Wild"],
        ["Green Tea", "Black Tea", "Oolong", "Rooibos", "Chamomile Infusion", "White Tea", "Matcha", "Chai Blend"]),
    line!("Bedding", 72.0, false, COLOURS,
        ["Washed Linen", "Organic Cotton", "Percale", "Brushed", "Down", "Quilted", "Bamboo", "Striped"],
        ["Duvet Cover", "Pillowcase", "Fitted Sheet", "Throw", "Mattress Topper", "Bedspread", "Pillow", "Blanket"]),
    line!("Headphones", 118.0, false, COLOURS,
        ["Wireless", "Noise-Cancelling", "Open-Back", "Studio", "Foldable", "Sport", "Compact", "Bone-Conduction"],
        ["Headphones", "Earbuds", "In-Ear Monitors", "Headset", "Over-Ear Headphones", "On-Ear Headphones",
         "Sleep Buds", "Gaming Headset"]),
    line!("Pet Food", 19.0, true, &["400 g", "800 g", "1.5 kg", "3 kg", "7 kg", "12 kg"],
        ["Grain-Free", "Salmon", "Chicken", "Senior", "Puppy", "Kitten", "Sensitive", "Country"],
        ["Dog Kibble", "Cat Kibble", "Dog Treats", "Cat Pouches", "Pate", "Dental Sticks", "Freeze-Dried Bites",
         "Training Rewards"]),
    line!("Garden Tools", 31.0, false, &["Short Handle", "Long Handle", "Left-Handed", "Telescopic", "Standard"],
        ["Forged", "Ash Handle", "Stainless", "Ergonomic", "Heavy-Duty", "Bypass", "Rust-Proof", "Japanese"],
        ["Secateurs", "Hand Trowel", "Garden Fork", "Border Spade", "Hoe", "Loppers", "Rake", "Bulb Planter"]),
    line!("Lighting", 84.0, false, COLOURS,
        ["Dimmable", "Brass", "Paper", "Opal Glass", "Rechargeable", "Arched", "Clip-On", "Woven"],
        ["Table Lamp", "Floor Lamp", "Pendant", "Wall Light", "Reading Light", "Lantern", "Desk Lamp",
         "String Lights"]),
    line!("Notebooks", 12.0, true, &["A4 Dotted", "A5 Dotted", "A5 Ruled", "A5 Plain", "A6 Ruled", "B5 Grid"],
        ["Clothbound", "Softcover", "Spiral", "Recycled", "Stitched", "Hardcover", "Refillable", "Pocket"],
        ["Notebook", "Journal", "Weekly Planner", "Sketchbook", "Reporter Pad", "Diary", "Field Book",
         "Music Manuscript Book"]),
    line!("Cycling", 55.0, false, COLOURS,
        ["Aero", "Commuter", "Gravel", "Padded", "Thermal", "Quick-Release", "Touring", "Waterproof"],
        ["Helmet", "Bib Shorts", "Jersey", "Pannier", "Front Light", "Gloves", "Saddle", "Handlebar Bag"]),
    line!("Chocolate", 6.0, true, SIZES,
        ["Dark 70%", "Milk", "Sea Salt", "Hazelnut", "Raw", "Orange", "Ginger", "Almond"],
        ["Chocolate Bar", "Truffles", "Drinking Chocolate", "Pralines", "Chocolate Chips", "Coated Nuts",
         "Nougat", "Cocoa Nibs"]),
    line!("Baby", 24.0, false, COLOURS,
        ["Organic", "Ribbed", "Knitted", "Muslin", "Wooden", "Soft", "Quilted", "Merino"],
        ["Romper", "Swaddle", "Teething Ring", "Bonnet", "Play Mat", "Sleeping Bag", "Bib", "Rattle"]),
    line!("Yoga", 42.0, false, COLOURS,
        ["Cork", "Natural Rubber", "Non-Slip", "Travel", "High-Waist", "Soft", "Extra Long", "Grounding"],
        ["Yoga Mat", "Yoga Block", "Bolster", "Leggings", "Strap", "Meditation Cushion", "Bralette", "Mat Bag"]),
    line!("Cleaning", 8.0, true, VOLUMES,
        ["Citrus", "Lavender", "Unscented", "Concentrated", "Plant-Based", "Pine", "Eucalyptus", "Sensitive"],
        ["Washing-Up Liquid", "All-Purpose Cleaner", "Laundry Liquid", "Fabric Softener", "Hand Soap",
         "Glass Cleaner", "Bathroom Spray", "Floor Soap"]),
    line!("Backpacks", 89.0, false, COLOURS,
        ["Roll-Top", "Waxed Canvas", "Commuter", "Expandable", "Recycled", "Weekend", "Slim", "Camera"],
        ["Backpack", "Messenger Bag", "Duffel", "Tote", "Sling", "Briefcase", "Laptop Sleeve", "Wash Bag"]),
    line!("Board Games", 34.0, false, &["2 Players", "2-4 Players", "3-6 Players", "Family Edition", "Travel Edition"],
        ["Harbour", "Northern", "Hidden", "Clockwork", "Orchard", "Midnight", "Salt and", "Lost"],
        ["Traders", "Kingdoms", "Railways", "Detectives", "Seasons", "Explorers", "Islands", "Puzzle Chest"]),
    line!("Knitwear", 79.0, false, COLOURS,
        ["Lambswool", "Cashmere", "Cable-Knit", "Chunky", "Fisherman", "Fine-Knit", "Mohair", "Cotton"],
        ["Jumper", "Cardigan", "Roll Neck", "Vest", "Scarf", "Beanie", "Mittens", "Poncho"]),
    line!("Houseplants", 26.0, false, &["12 cm Pot", "15 cm Pot", "19 cm Pot", "24 cm Pot", "Hanging Pot"],
        ["Variegated", "Trailing", "Compact", "Large-Leaf", "Silver", "Dwarf", "Climbing", "Shade-Loving"],
        ["Monstera", "Pothos", "Fern", "Calathea", "Rubber Plant", "Snake Plant", "Peperomia", "Fig"]),
    line!("Vitamins", 16.0, true, &["30 Capsules", "60 Capsules", "90 Capsules", "120 Tablets", "180 Tablets"],
        ["Vegan", "High-Strength", "Slow-Release", "Daily", "Chewable", "Liquid", "Children's", "Sport"],
        ["Vitamin D", "Omega-3", "Magnesium", "Vitamin C", "Iron", "B Complex", "Zinc", "Multivitamin"]),
    line!("Ceramics", 28.0, false, PIECES,
        ["Hand-Thrown", "Speckled", "Matte", "Glazed", "Ribbed", "Rustic", "Fluted", "Reactive Glaze"],
        ["Mug", "Dinner Plate", "Serving Bowl", "Espresso Cup", "Vase", "Jug", "Side Plate", "Butter Dish"]),
    line!("Camping", 97.0, false, COLOURS,
        ["Ultralight", "Two-Person", "Four-Season", "Folding", "Inflatable", "Titanium", "Compact", "All-Weather"],
        ["Tent", "Sleeping Bag", "Camp Chair", "Stove", "Sleeping Mat", "Tarp", "Cook Set", "Head Torch"]),
    line!("Olive Oil & Pantry", 11.0, true, VOLUMES,
        ["Extra Virgin", "Early Harvest", "Smoked", "Aged", "Organic", "Stone-Milled", "Infused", "Unfiltered"],
        ["Olive Oil", "Balsamic Vinegar", "Chilli Oil", "Rapeseed Oil", "Tomato Passata", "Soy Sauce",
         "Cider Vinegar", "Pesto"]),
    line!("Watches", 164.0, false, &["Steel Strap", "Leather Strap", "Nylon Strap", "Mesh Strap", "Rubber Strap"],
        ["Automatic", "Field", "Diver", "Solar", "Chronograph", "Slim", "Pilot", "Moonphase"],
        ["Watch 36", "Watch 38", "Watch 40", "Watch 42", "Dress Watch", "Travel Watch", "Pocket Watch",
         "Smartwatch"]),
    line!("Art Supplies", 17.0, true, &["Set of 12", "Set of 24", "Set of 36", "Studio Pack", "Starter Set"],
        ["Artist", "Water-Soluble", "Fine-Tip", "Studio", "Lightfast", "Acrylic", "Student", "Metallic"],
        ["Coloured Pencils", "Watercolours", "Brush Pens", "Oil Pastels", "Gouache", "Markers", "Charcoal Sticks",
         "Brushes"]),
    line!("Desk", 58.0, false, COLOURS,
        ["Walnut", "Felt", "Powder-Coated", "Adjustable", "Oak", "Magnetic", "Leather", "Modular"],
        ["Monitor Stand", "Desk Mat", "Pen Tray", "Cable Organiser", "Bookend", "Letter Tray", "Laptop Stand",
         "Wall Shelf"]),
    line!("Shaving", 18.0, true, SMALL_VOLUMES,
        ["Sandalwood", "Cooling", "Cedar", "Fragrance-Free", "Traditional", "Tea Tree", "Bay Rum", "Aloe"],
        ["Shaving Cream", "Aftershave Balm", "Beard Oil", "Pre-Shave Oil", "Shaving Soap", "Beard Wash",
         "Moustache Wax", "Face Scrub"]),
    line!("Climbing", 66.0, false, COLOURS,
        ["Vertical", "Boulder", "Trad", "Sport", "Lightweight", "Competition", "Adjustable", "Locking"],
        ["Climbing Shoes", "Harness", "Chalk Bag", "Carabiner", "Belay Device", "Rope", "Crash Pad", "Quickdraw"]),
    line!("Speakers", 142.0, false, COLOURS,
        ["Portable", "Bookshelf", "Wall-Mounted", "Waterproof", "Retro", "Multi-Room", "Active", "Passive"],
        ["Speaker", "Soundbar", "Subwoofer", "Radio", "Turntable", "Amplifier", "Shower Speaker", "Party Speaker"]),
    line!("Towels & Bath", 27.0, false, COLOURS,
        ["Waffle", "Organic Cotton", "Linen", "Fringed", "Quick-Dry", "Thick", "Hammam", "Bamboo"],
        ["Bath Towel", "Hand Towel", "Bath Mat", "Robe", "Face Cloth", "Beach Towel", "Shower Curtain", "Slippers"]),
    line!("Breakfast", 7.0, true, SIZES,
        ["Toasted", "Crunchy", "No Added Sugar", "Honey", "Gluten-Free", "Organic", "Nutty", "Berry"],
        ["Granola", "Muesli", "Porridge Oats", "Peanut Butter", "Marmalade", "Honey", "Cornflakes", "Jam"]),
    line!("Swim", 39.0, false, COLOURS,
        ["Racerback", "Training", "Open-Water", "Mirrored", "Long-Sleeve", "Quick-Dry", "Silicone", "Classic"],
        ["Swimsuit", "Goggles", "Swim Shorts", "Swim Cap", "Rash Guard", "Kickboard", "Bikini", "Dry Bag"]),
    line!("Toys", 21.0, false, PIECES,
        ["Wooden", "Stacking", "Pull-Along", "Magnetic", "Musical", "Fabric", "Counting", "Painted"],
        ["Building Blocks", "Train Set", "Animal Puzzle", "Kite", "Doll's House", "Shape Sorter", "Xylophone",
         "Marble Run"]),
    line!("Candles & Scents", 23.0, true, &["120 g", "180 g", "220 g", "300 g", "Travel Tin"],
        ["Fig", "Cedar", "Sea Salt", "Bergamot", "Smoked Birch", "Rose", "Vetiver", "Linen"],
        ["Candle", "Room Spray", "Reed Diffuser", "Wax Melts", "Incense", "Pillow Mist", "Scented Sachet",
         "Essential Oil"]),
    line!("Denim", 92.0, false, &["Raw", "Rinsed", "Stone Wash", "Black", "Ecru", "Light Blue"],
        ["Selvedge", "Slim", "Straight", "Relaxed", "Tapered", "High-Rise", "Stretch", "Cropped"],
        ["Jeans", "Denim Jacket", "Denim Shirt", "Dungarees", "Denim Skirt", "Overshirt", "Work Trousers",
         "Denim Shorts"]),
    line!("Cameras", 310.0, false, COLOURS,
        ["Compact", "Mirrorless", "Instant", "Rangefinder", "Action", "Medium Format", "Film", "Weather-Sealed"],
        ["Camera", "50 mm Lens", "35 mm Lens", "Zoom Lens", "Tripod", "Flash", "Camera Strap", "Macro Lens"]),
    line!("Hair Care", 15.0, true, VOLUMES,
        ["Volume", "Repair", "Curl", "Colour-Safe", "Anti-Dandruff", "Hydrating", "Clarifying", "Gentle"],
        ["Shampoo", "Conditioner", "Hair Mask", "Styling Cream", "Dry Shampoo", "Hair Oil", "Scalp Tonic",
         "Sea Salt Spray"]),
];

/// Ranges that a line splits into when a shop has more categories than there are lines.
pub(crate) const RANGES: [&str; 8] =
    ["Basics", "Premium", "Outlet", "Gifts", "New Season", "Studio", "Travel", "Family"];

/// First parts of a brand's name.
pub(crate) const BRAND_HEADS: [&str; 60] = [
    "Fjell",
    "Nordhavn",
    "Aldermoor",
    "Tindra",
    "Kestrelby",
    "Lumo",
    "Brackwater",
    "Solveig",
    "Hartfold",
    "Morrow",
    "Pinehollow",
    "Vesterly",
    "Oakenshaw",
    "Quillon",
    "Saltmarsh",
    "Ember & Ash",
    "Thornbury Lane",
    "Wrenfield",
    "Larkspur",
    "Juniper Row",
    "Halden",
    "Birkvale",
    "Copperleaf",
    "Driftwell",
    "Eiderholm",
    "Foxglove",
    "Greycliff",
    "Hollin",
    "Ivarsen",
    "Jorvik Mill",
    "Kirkstall",
    "Lindqvist",
    "Marlowe",
    "Nettlecombe",
    "Osprey Bay",
    "Peregrin",
    "Rowanberry",
    "Skerry",
    "Tarn",
    "Ullswick",
    "Varga",
    "Westerdal",
    "Yarrow",
    "Zephyrine",
    "Ashgrove",
    "Bramblewick",
    "Cinderford",
    "Dovecote",
    "Elmsworth",
    "Fernhill",
    "Gullholmen",
    "Heatherfold",
    "Islay Sound",
    "Kvist",
    "Lyngen",
    "Mistral",
    "Novaro",
    "Ostra",
    "Pellworm",
    "Ravensmoor",
];

/// Second parts, for shops with more brands than first parts.
pub(crate) const BRAND_TAILS: [&str; 12] = [
    "",
    "Works",
    "Supply",
    "Studio",
    "House",
    "Goods",
    "& Daughters",
    "Collective",
    "Trading",
    "Atelier",
    "Union",
    "Originals",
];

/// First names, in the letters of an address.
pub(crate) const FIRST_NAMES: [&str; 40] = [
    "maja", "oliver", "ines", "jonas", "amara", "luca", "freya", "mateo", "sofia", "noah", "leila", "emil", "clara",
    "hugo", "zoe", "samir", "elin", "pavel", "nadia", "theo", "mira", "oskar", "yara", "felix", "ida", "marco", "lena",
    "arthur", "chloe", "viktor", "rosa", "kenji", "alma", "david", "greta", "rafael", "nora", "tomas", "eva", "liam",
];

/// Last names, in the letters of an address.
pub(crate) const LAST_NAMES: [&str; 40] = [
    "lindqvist",
    "moreau",
    "keller",
    "rossi",
    "novak",
    "okafor",
    "jensen",
    "garcia",
    "hughes",
    "tanaka",
    "silva",
    "berg",
    "dubois",
    "kowalski",
    "schmidt",
    "ferrari",
    "larsen",
    "costa",
    "walsh",
    "popescu",
    "meyer",
    "andersson",
    "lopez",
    "marsh",
    "horvat",
    "nielsen",
    "weber",
    "romano",
    "oconnor",
    "petrov",
    "virtanen",
    "martin",
    "fischer",
    "santos",
    "byrne",
    "laurent",
    "dahl",
    "ricci",
    "evans",
    "haas",
];

/// Countries with the locales of their shoppers and the share of all shoppers, in percent.
pub(crate) const COUNTRIES: [(&str, &[&str], u32); 14] = [
    ("DE", &["de-DE"], 24),
    ("GB", &["en-GB"], 17),
    ("FR", &["fr-FR"], 13),
    ("NL", &["nl-NL"], 8),
    ("SE", &["sv-SE"], 7),
    ("ES", &["es-ES", "ca-ES"], 6),
    ("IT", &["it-IT"], 6),
    ("AT", &["de-AT"], 4),
    ("CH", &["de-CH", "fr-CH", "it-CH"], 4),
    ("BE", &["nl-BE", "fr-BE"], 3),
    ("DK", &["da-DK"], 3),
    ("NO", &["nb-NO"], 2),
    ("PL", &["pl-PL"], 2),
    ("IE", &["en-IE"], 1),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_word_stands_twice_where_names_must_differ() {
        let distinct = |words: &[&str]| words.iter().collect::<BTreeSet<_>>().len() == words.len();
        assert!(distinct(&BRAND_HEADS) && distinct(&BRAND_TAILS) && distinct(&RANGES));
        assert!(distinct(&LINES.each_ref().map(|line| line.name)));
        for line in &LINES {
            let parts = [&line.qualifiers[..], &line.nouns[..], line.variants];
            assert!(parts.iter().all(|words| distinct(words)), "{}", line.name);
        }
        assert_eq!(COUNTRIES.iter().map(|country| country.2).sum::<u32>(), 100);
    }
}
