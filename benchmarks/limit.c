/* The speed that a serial system can be simulated at: one hand-written loop for one system and one rule.
 *
 * Four stages in a row with lead times of 1, installation base stock, customers who wait. Units in transit are
 * charged the holding cost of the stage that shipped them. Replications go through in blocks of WIDTH, with the
 * replication as the innermost loop; demand is [block][period][WIDTH], drawn before. The result is the average
 * cost per counted period of each replication.
 */
#include <stddef.h>

#define STAGES 4
#define WIDTH 64

static void block(int periods, int warm_up, const float *restrict demand, const float *level, const float *stock,
                  const float *holding, float stockout, float *restrict result)
{
    static float position[STAGES][WIDTH], on_hand[STAGES][WIDTH], owed[STAGES][WIDTH], waiting[WIDTH], cost[WIDTH];
    static float order[STAGES + 1][WIDTH], asked[STAGES][WIDTH], sent[STAGES][WIDTH];

    for (int s = 0; s < STAGES; s++)
        for (int i = 0; i < WIDTH; i++) {
            position[s][i] = on_hand[s][i] = stock[s];
            owed[s][i] = 0;
        }
    for (int i = 0; i < WIDTH; i++)
        waiting[i] = cost[i] = order[STAGES][i] = 0;

    for (int t = 0; t < periods; t++) {
        const float *restrict d = demand + (size_t)t * WIDTH;
        if (t == warm_up)
            for (int i = 0; i < WIDTH; i++)
                cost[i] = 0;
        for (int s = STAGES - 1; s >= 0; s--)
            for (int i = 0; i < WIDTH; i++) {
                float before = position[s][i] - order[s + 1][i];
                float quantity = level[s] - before;
                quantity = quantity > 0 ? quantity : 0;
                position[s][i] = before + quantity;
                order[s][i] = quantity;
                asked[s][i] = owed[s][i] + quantity;
            }
        for (int i = 0; i < WIDTH; i++)
            sent[0][i] = asked[0][i];
        for (int s = 0; s < STAGES - 1; s++)
            for (int i = 0; i < WIDTH; i++) {
                float available = on_hand[s][i], wanted = asked[s + 1][i];
                float shipment = wanted < available ? wanted : available;
                owed[s + 1][i] = wanted - shipment;
                sent[s + 1][i] = shipment;
                cost[i] += holding[s] * available;
                on_hand[s][i] = available - shipment + sent[s][i];
            }
        for (int i = 0; i < WIDTH; i++) {
            float net = on_hand[STAGES - 1][i] - waiting[i] - d[i];
            float left = net > 0 ? net : 0;
            waiting[i] = left - net;
            cost[i] += holding[STAGES - 1] * left + stockout * waiting[i];
            on_hand[STAGES - 1][i] = left + sent[STAGES - 1][i];
            position[STAGES - 1][i] -= d[i];
        }
    }
    for (int i = 0; i < WIDTH; i++)
        result[i] = cost[i] / (periods - warm_up);
}

void rollout(int blocks, int periods, int warm_up, const float *demand, const float *level, const float *stock,
             const float *holding, float stockout, float *result)
{
    for (int k = 0; k < blocks; k++)
        block(periods, warm_up, demand + (size_t)k * periods * WIDTH, level, stock, holding, stockout,
              result + (size_t)k * WIDTH);
}
