//! Asks two questions one after the other, for `in_order.rs`.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    commands::add("order", "Orders a pizza", "", order).await?;
    commands::add("menu", "Shows the menu", "", menu).await
}

async fn order(order: Command) -> Result<()> {
    let size = order.message.ask("size?").await?;
    let topping = order.message.ask("topping?").await?;
    order.message.reply(format!("{} {}", size.text, topping.text)).await.map(drop)
}

async fn menu(order: Command) -> Result<()> {
    order.message.reply("pizza").await.map(drop)
}
