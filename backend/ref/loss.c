#include "ref/ref.h"

#include <math.h>

void ref_loss(int n, int classes, const double *x, const int *labels, const double *weights, double scale,
        double *dx, double *ret_loss, int *ret_correct)
{
        double loss = 0;
        int correct = 0;
        for (int i = 0; i < n; i++, x += classes, dx += classes) {
                double sum = 0, weight = weights ? weights[labels[i]] : 1;
                int best = 0;
                for (int k = 1; k < classes; k++)
                        best = x[k] > x[best] ? k : best;
                for (int k = 0; k < classes; k++)
                        sum += exp(x[k] - x[best]);
                loss += weight * (log(sum) - (x[labels[i]] - x[best]));
                correct += best == labels[i];
                for (int k = 0; k < classes; k++)
                        dx[k] = (exp(x[k] - x[best]) / sum - (k == labels[i])) * weight * scale;
        }
        *ret_loss = loss;
        *ret_correct = correct;
}
