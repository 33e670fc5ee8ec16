//! What a server of OWAMP-Control answers.
#![no_main]

fuzz::message_target!("owamp-answer");
