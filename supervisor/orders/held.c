/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/held.c - orders to hand over that came before the peer's word that it is Backup: who looks at both devices may know that
 * sooner than we do.
 */
#include "supervisor/supervisor.h"

#define PEERS_WORD_MS 2000

struct HeldOrders {
	Supervisor *supervisor;
	GQueue orders; /* of Order* */
};

typedef struct {
	HeldOrders *held;
	BusCall *call;
	GVariant *args;
	BusMethod order;
	bool force;
	guint timer;
} Order;

static void order_free(gpointer data)
{
	Order *order = data;
	g_clear_handle_id(&order->timer, g_source_remove);
	g_variant_unref(order->args);
	g_free(order);
}

static void give(Order *order)
{
	HeldOrders *held = order->held;
	g_queue_remove(&held->orders, order);
	order->order(order->call, order->args, held->supervisor);
	order_free(order);
}

static gboolean on_no_word(gpointer user_data)
{
	Order *order = user_data;
	order->timer = 0;
	give(order);
	return G_SOURCE_REMOVE;
}

void held_orders_add(HeldOrders *held, BusCall *call, GVariant *args, bool force, BusMethod method)
{
	if (!swap_may_pass(held->supervisor, force)) {
		method(call, args, held->supervisor);
		return;
	}
	Order *order = g_new0(Order, 1);
	*order = (Order){ held, call, g_variant_ref(args), method, force, 0 };
	order->timer = g_timeout_add(PEERS_WORD_MS, on_no_word, order);
	g_queue_push_tail(&held->orders, order);
}

void held_orders_look(HeldOrders *held)
{
	GList *each = held->orders.head;
	while (each && swap_may_pass(held->supervisor, ((Order *)each->data)->force))
		each = each->next;
	if (each)
		give(each->data); /* where that changes nothing another one's time runs out */
}

HeldOrders *held_orders_new(Supervisor *supervisor)
{
	HeldOrders *held = g_new0(HeldOrders, 1);
	held->supervisor = supervisor;
	return held;
}

void held_orders_free(HeldOrders *held)
{
	if (!held)
		return;
	g_queue_clear_full(&held->orders, order_free);
	g_free(held);
}
