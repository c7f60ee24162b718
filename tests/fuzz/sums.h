/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/sums.h - words and sums of a packet, read without any code of the parser that is judged. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

static inline guint word(const uint8_t *at)
{
	return (guint)at[0] << 8 | at[1];
}

/* One's complement sum by hand: no code shared with the parser. */
static inline guint folded(const uint8_t *data, size_t size, guint sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? data[i] : (guint)data[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}
