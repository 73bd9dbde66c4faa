//! The 64 emojis of a verification, named in both languages.
//!
//! Source: the Matrix specification v1.19, "SAS method: emoji", and its table of translations.

use crate::lang::Lang;

/// Symbol, English name, French name; the index is the one of the specification.
const EMOJIS: [(&str, &str, &str); 64] = [
    ("🐶", "Dog", "Chien"),
    ("🐱", "Cat", "Chat"),
    ("🦁", "Lion", "Lion"),
    ("🐎", "Horse", "Cheval"),
    ("🦄", "Unicorn", "Licorne"),
    ("🐷", "Pig", "Cochon"),
    ("🐘", "Elephant", "Éléphant"),
    ("🐰", "Rabbit", "Lapin"),
    ("🐼", "Panda", "Panda"),
    ("🐓", "Rooster", "Coq"),
    ("🐧", "Penguin", "Manchot"),
    ("🐢", "Turtle", "Tortue"),
    ("🐟", "Fish", "Poisson"),
    ("🐙", "Octopus", "Poulpe"),
    ("🦋", "Butterfly", "Papillon"),
    ("🌷", "Flower", "Fleur"),
    ("🌳", "Tree", "Arbre"),
    ("🌵", "Cactus", "Cactus"),
    ("🍄", "Mushroom", "Champignon"),
    ("🌏", "Globe", "Globe"),
    ("🌙", "Moon", "Lune"),
    ("☁️", "Cloud", "Nuage"),
    ("🔥", "Fire", "Feu"),
    ("🍌", "Banana", "Banane"),
    ("🍎", "Apple", "Pomme"),
    ("🍓", "Strawberry", "Fraise"),
    ("🌽", "Corn", "Maïs"),
    ("🍕", "Pizza", "Pizza"),
    ("🎂", "Cake", "Gâteau"),
    ("❤️", "Heart", "Cœur"),
    ("😀", "Smiley", "Sourire"),
    ("🤖", "Robot", "Robot"),
    ("🎩", "Hat", "Chapeau"),
    ("👓", "Glasses", "Lunettes"),
    ("🔧", "Spanner", "Clé à molette"),
    ("🎅", "Santa", "Père Noël"),
    ("👍", "Thumbs Up", "Pouce en l’air"),
    ("☂️", "Umbrella", "Parapluie"),
    ("⌛", "Hourglass", "Sablier"),
    ("⏰", "Clock", "Réveil"),
    ("🎁", "Gift", "Cadeau"),
    ("💡", "Light Bulb", "Ampoule"),
    ("📕", "Book", "Livre"),
    ("✏️", "Pencil", "Crayon"),
    ("📎", "Paperclip", "Trombone"),
    ("✂️", "Scissors", "Ciseaux"),
    ("🔒", "Lock", "Cadenas"),
    ("🔑", "Key", "Clé"),
    ("🔨", "Hammer", "Marteau"),
    ("☎️", "Telephone", "Téléphone"),
    ("🏁", "Flag", "Drapeau"),
    ("🚂", "Train", "Train"),
    ("🚲", "Bicycle", "Vélo"),
    ("✈️", "Aeroplane", "Avion"),
    ("🚀", "Rocket", "Fusée"),
    ("🏆", "Trophy", "Trophée"),
    ("⚽", "Ball", "Ballon"),
    ("🎸", "Guitar", "Guitare"),
    ("🎺", "Trumpet", "Trompette"),
    ("🔔", "Bell", "Cloche"),
    ("⚓", "Anchor", "Ancre"),
    ("🎧", "Headphones", "Casque audio"),
    ("📁", "Folder", "Dossier"),
    ("📌", "Pin", "Punaise"),
];

/// Symbol and name of the emoji with this index (0 to 63).
pub fn emoji(index: u8, lang: Lang) -> (&'static str, &'static str) {
    let (symbol, en, fr) = EMOJIS[usize::from(index) % EMOJIS.len()];
    match lang {
        Lang::En => (symbol, en),
        Lang::Fr => (symbol, fr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_those_of_the_specification() {
        assert_eq!(emoji(0, Lang::En), ("🐶", "Dog"));
        assert_eq!(emoji(0, Lang::Fr), ("🐶", "Chien"));
        assert_eq!(emoji(63, Lang::En).1, "Pin");
    }

    #[test]
    fn every_emoji_has_two_names_of_its_own() {
        for lang in [Lang::En, Lang::Fr] {
            let mut names: Vec<_> = (0..64).map(|i| emoji(i, lang).1).collect();
            assert!(names.iter().all(|n| !n.is_empty()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), 64);
        }
    }
}
