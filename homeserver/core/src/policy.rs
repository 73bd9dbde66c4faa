//! The administration's rules: pure decisions on plain data, with one answer type for every way in.

pub mod address_rules;
pub mod addresses;
pub mod domains;
pub mod externals;
pub mod last_admin;
pub mod lists;
pub mod outside_names;
pub mod retention;
pub mod rooms;

pub use self::{
    address_rules::NewAddressRule,
    addresses::{Answer, DomainList, Grant, Refusal},
    domains::{Checked, DomainChange, Impact, Policy},
};
