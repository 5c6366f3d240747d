/* The same value everywhere. */
#include "tinypareto.h"

void tp_run_fill(const tp_fill *operator)
{
    for (uint32_t i = 0; i < operator->count; i++) {
        operator->output[i] = operator->value;
    }
}
