/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/renewal.c - the thread that renews. It allocates nothing: an arena of its own would be locked in memory. */
#include "renewal.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "timer.h"

#define STACK_BYTES (32 * 1024) /* all of it is locked in memory */
#define ANSWER_BYTES 4096

typedef struct {
	int tolerated;
	VrrpRenewalExpect expect;
	bool refused;
} Item;

typedef enum {
	STAGE_IDLE,
	STAGE_ASKED,
	STAGE_UNDER_WAY,
	STAGE_QUIT,
} Stage;

struct VrrpRenewal {
	int fd, told_fd;
	guint32 port;
	guint source;
	void (*differs)(gpointer user_data);
	gpointer user_data;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t asked, idle;
	Stage stage;         /* under the lock; what follows belongs to the thread while it is under way, and to the loop else */
	GByteArray *messages;
	GArray *items;       /* of Item; a message's number in the sequence is its place here and one */
	gint64 until_us;
	guint8 answer[ANSWER_BYTES] __attribute__((aligned(8)));
};

/* ---- The thread ---- */

static void read_answers(VrrpRenewal *self)
{
	gssize n;

	/* The kernel has answered when send() returns. */
	while ((n = recv(self->fd, self->answer, sizeof self->answer, MSG_DONTWAIT)) > 0) {
		int left = (int)n;

		for (struct nlmsghdr *header = (struct nlmsghdr *)self->answer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			const struct nlmsgerr *error = NLMSG_DATA(header);
			Item *item;

			if (header->nlmsg_type != NLMSG_ERROR || header->nlmsg_seq == 0 || header->nlmsg_seq > self->items->len)
				continue;
			item = &g_array_index(self->items, Item, header->nlmsg_seq - 1);
			item->refused = error->error != 0 && -error->error != item->tolerated;
		}
	}
}

static bool is_as_expected(const VrrpRenewal *self, bool sent)
{
	for (guint i = 0; i < self->items->len; i++) {
		const Item *item = &g_array_index(self->items, Item, i);

		switch (item->expect) {
		case VRRP_RENEWAL_WORKS:
			if (!sent || item->refused)
				return false;
			break;
		case VRRP_RENEWAL_REFUSED:
			if (sent && !item->refused)
				return false;
			break;
		case VRRP_RENEWAL_EITHER:
			break;
		}
	}
	return true;
}

static void renew(VrrpRenewal *self)
{
	static const guint64 one = 1;
	bool sent;

	/* Stopped since it was asked: what was true then is not to be said now. */
	if (vrrp_now_us() > self->until_us)
		return;
	sent = send(self->fd, self->messages->data, self->messages->len, 0) == (gssize)self->messages->len;
	read_answers(self);
	if (!is_as_expected(self, sent))
		(void)!write(self->told_fd, &one, sizeof one);
}

static void *run(void *data)
{
	VrrpRenewal *self = data;

	pthread_mutex_lock(&self->lock);
	while (self->stage != STAGE_QUIT) {
		if (self->stage != STAGE_ASKED) {
			pthread_cond_wait(&self->asked, &self->lock);
			continue;
		}
		self->stage = STAGE_UNDER_WAY;
		pthread_mutex_unlock(&self->lock);
		renew(self);
		pthread_mutex_lock(&self->lock);
		self->stage = STAGE_IDLE;
		pthread_cond_signal(&self->idle);
	}
	pthread_mutex_unlock(&self->lock);
	return NULL;
}

/* ---- The loop ---- */

static gboolean told_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpRenewal *self = user_data;
	guint64 count;

	if (read(fd, &count, sizeof count) == (gssize)sizeof count)
		self->differs(self->user_data);
	return G_SOURCE_CONTINUE;
}

static bool open_socket(VrrpRenewal *self)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK }; /* also the kernel's, to be sent to */
	socklen_t size = sizeof at;
	int on = 1;

	self->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (self->fd < 0 || connect(self->fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    getsockname(self->fd, (struct sockaddr *)&at, &size) < 0)
		return false;
	self->port = at.nl_pid;
	/* Answers without the question. */
	(void)setsockopt(self->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	self->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return self->told_fd >= 0;
}

/* Signals are the loop's to answer. */
static int start(VrrpRenewal *self)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int reason;

	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	reason = pthread_create(&self->thread, &attributes, run, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	self->running = reason == 0;
	return reason;
}

VrrpRenewal *vrrp_renewal_new(void (*differs)(gpointer user_data), gpointer user_data, GError **error)
{
	VrrpRenewal *self = g_new0(VrrpRenewal, 1);
	int reason;

	self->fd = self->told_fd = -1;
	self->differs = differs;
	self->user_data = user_data;
	self->messages = g_byte_array_new();
	self->items = g_array_new(FALSE, TRUE, sizeof(Item));
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->asked, NULL);
	pthread_cond_init(&self->idle, NULL);
	reason = open_socket(self) ? start(self) : errno;
	if (reason != 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(reason), "renewal of addresses: %s", g_strerror(reason));
		vrrp_renewal_free(self);
		return NULL;
	}
	self->source = g_unix_fd_add(self->told_fd, G_IO_IN, told_cb, self);
	return self;
}

void vrrp_renewal_free(VrrpRenewal *self)
{
	if (!self)
		return;
	if (self->running) {
		vrrp_renewal_settle(self);
		pthread_mutex_lock(&self->lock);
		self->stage = STAGE_QUIT;
		pthread_cond_signal(&self->asked);
		pthread_mutex_unlock(&self->lock);
		pthread_join(self->thread, NULL);
	}
	if (self->source)
		g_source_remove(self->source);
	if (self->fd >= 0)
		close(self->fd);
	if (self->told_fd >= 0)
		close(self->told_fd);
	pthread_cond_destroy(&self->idle);
	pthread_cond_destroy(&self->asked);
	pthread_mutex_destroy(&self->lock);
	g_byte_array_unref(self->messages);
	g_array_unref(self->items);
	g_free(self);
}

guint32 vrrp_renewal_port(const VrrpRenewal *self)
{
	return self->port;
}

bool vrrp_renewal_begin(VrrpRenewal *self)
{
	bool free;

	pthread_mutex_lock(&self->lock);
	free = self->stage == STAGE_IDLE;
	pthread_mutex_unlock(&self->lock);
	if (!free)
		return false;
	g_byte_array_set_size(self->messages, 0);
	g_array_set_size(self->items, 0);
	return true;
}

void vrrp_renewal_add(VrrpRenewal *self, const struct nlmsghdr *message, int tolerated, VrrpRenewalExpect expect)
{
	static const guint8 padding[NLMSG_ALIGNTO];
	Item item = { .tolerated = tolerated, .expect = expect };
	guint at = self->messages->len;
	struct nlmsghdr *copy;

	g_byte_array_append(self->messages, (const guint8 *)message, message->nlmsg_len);
	g_byte_array_append(self->messages, padding, NLMSG_ALIGN(message->nlmsg_len) - message->nlmsg_len);
	g_array_append_val(self->items, item);
	copy = (struct nlmsghdr *)(void *)(self->messages->data + at);
	/* Only what it refuses is answered. */
	copy->nlmsg_flags = (guint16)((message->nlmsg_flags | NLM_F_REQUEST) & ~NLM_F_ACK);
	copy->nlmsg_seq = self->items->len;
	copy->nlmsg_pid = self->port;
}

void vrrp_renewal_send(VrrpRenewal *self, gint64 until_us)
{
	if (self->items->len == 0)
		return;
	self->until_us = until_us;
	pthread_mutex_lock(&self->lock);
	self->stage = STAGE_ASKED;
	pthread_mutex_unlock(&self->lock);
	/* Only now: woken under the lock, it would have to wait for that once more. */
	pthread_cond_signal(&self->asked);
}

void vrrp_renewal_settle(VrrpRenewal *self)
{
	pthread_mutex_lock(&self->lock);
	if (self->stage == STAGE_ASKED)
		self->stage = STAGE_IDLE;
	while (self->stage == STAGE_UNDER_WAY)
		pthread_cond_wait(&self->idle, &self->lock);
	pthread_mutex_unlock(&self->lock);
}
