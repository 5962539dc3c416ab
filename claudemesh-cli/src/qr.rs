//! A link as a QR code in half blocks.

use clap::builder::styling::{AnsiColor, Style};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::output::Page;

/// Adds the code to a page; nothing when it does not fit the terminal.
pub(crate) fn draw(page: &mut Page, link: &str) {
    // Low correction keeps it small; a screen is not scratched.
    let Ok(code) = QrCode::with_error_correction_level(link, EcLevel::L) else { return };
    let mut picture = code.render::<Dense1x2>();
    if !page.has_color() {
        // Most terminals are dark: blocks are the light modules.
        picture.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let picture = picture.build();
    let columns = picture.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    if page.columns().is_none_or(|width| columns > width) {
        return;
    }
    // Black on white whatever the terminal's own colours are.
    let style = if page.has_color() {
        Style::new().fg_color(Some(AnsiColor::Black.into())).bg_color(Some(AnsiColor::BrightWhite.into()))
    } else {
        Style::new()
    };
    for line in picture.lines() {
        page.raw(&format!("{style}{line}{style:#}\n"));
    }
}
